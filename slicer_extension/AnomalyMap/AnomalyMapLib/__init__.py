"""What the module Anomaly Map is made of: MRML, the child process, results; nothing here needs Qt but ``widget``."""
