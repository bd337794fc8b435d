# What packing an extension needs to be there.
foreach(file IN ITEMS ${EXTENSION_README_FILE} ${EXTENSION_LICENSE_FILE})
  if(NOT EXISTS ${file})
    message(FATAL_ERROR "There is no ${file}")
  endif()
endforeach()
