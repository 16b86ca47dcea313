# SPDX-License-Identifier: MIT
#
# Users' programs, by many compilers and linkers, with the libraries as they are
# shipped: not under sanitizers.
if(NOT WEIR_SANITIZE)
  add_test(NAME toolchain
    COMMAND ${root}/tests/toolchain/run --build ${CMAKE_CURRENT_BINARY_DIR})
  set_tests_properties(toolchain PROPERTIES
    LABELS toolchain SKIP_RETURN_CODE 77 TIMEOUT 600 PROCESSORS 2)
  add_test(NAME toolchain_stepped
    COMMAND ${root}/tests/toolchain/stepped ${CMAKE_CURRENT_BINARY_DIR})
  set_tests_properties(toolchain_stepped PROPERTIES
    LABELS toolchain SKIP_RETURN_CODE 77 TIMEOUT 120)
endif()
