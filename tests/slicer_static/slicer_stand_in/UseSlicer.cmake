# Copies scripts and resources below the build tree, and installs the folder that they are copied to, all of it.
function(slicerMacroBuildScriptedModule)
  cmake_parse_arguments(PARSE_ARGV 0 MODULE "WITH_GENERIC_TESTS" "NAME" "SCRIPTS;RESOURCES")
  if(MODULE_UNPARSED_ARGUMENTS OR NOT MODULE_NAME)
    message(FATAL_ERROR "The module has no name, or Slicer does not know: ${MODULE_UNPARSED_ARGUMENTS}")
  endif()
  set(destination ${CMAKE_BINARY_DIR}/${Slicer_QTSCRIPTEDMODULES_LIB_DIR})
  set(copies)
  foreach(file IN LISTS MODULE_SCRIPTS MODULE_RESOURCES)
    set(source ${CMAKE_CURRENT_SOURCE_DIR}/${file})
    if(NOT EXISTS ${source})
      message(FATAL_ERROR "There is no ${source}")
    endif()
    add_custom_command(
      OUTPUT ${destination}/${file}
      COMMAND ${CMAKE_COMMAND} -E copy ${source} ${destination}/${file}
      DEPENDS ${source}
      )
    list(APPEND copies ${destination}/${file})
  endforeach()
  add_custom_target(Copy${MODULE_NAME}PythonFiles ALL DEPENDS ${copies})
  install(DIRECTORY ${destination}/ DESTINATION ${Slicer_INSTALL_QTSCRIPTEDMODULES_LIB_DIR})
endfunction()

# A test that only tells which file Slicer would run.
function(slicer_add_python_unittest)
  cmake_parse_arguments(PARSE_ARGV 0 TEST "" "SCRIPT;TESTNAME_PREFIX" "SLICER_ARGS")
  get_filename_component(name ${TEST_SCRIPT} NAME_WE)
  add_test(NAME py_${name} COMMAND ${CMAKE_COMMAND} -E echo ${CMAKE_CURRENT_SOURCE_DIR}/${TEST_SCRIPT})
endfunction()

include(CTest)
