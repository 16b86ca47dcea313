# SPDX-License-Identifier: MIT
#
# The libraries as they are shipped, stopped at every instruction of every
# sequence: not under sanitizers.
if(NOT WEIR_SANITIZE)
  add_library(step_plugin SHARED tests/step/inlined.c)
  target_include_directories(step_plugin PRIVATE tests)
  target_compile_definitions(step_plugin PRIVATE INLINED_NAME=inlined_plugin)
  target_link_libraries(step_plugin PRIVATE weir_flags weir)
  add_executable(step_step
    tests/step/step.c tests/step/tracer.c tests/step/tracee.c
    tests/step/sequences.c tests/step/inlined.c)
  target_include_directories(step_step PRIVATE tests src)
  target_link_libraries(step_step PRIVATE weir_flags step_plugin weir)
  add_test(NAME step_step COMMAND step_step)
  set_tests_properties(step_step PROPERTIES
    LABELS step SKIP_RETURN_CODE 77 TIMEOUT 600 PROCESSORS 2)
endif()
