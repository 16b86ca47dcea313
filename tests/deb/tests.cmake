# SPDX-License-Identifier: MIT
#
# The Debian package: what can be seen without building it. `make prove` builds,
# judges, installs and uses it.

if(NOT WEIR_SANITIZE)
  add_test(NAME tree_deb COMMAND ${root}/tests/deb/run
    ${CMAKE_CURRENT_BINARY_DIR})
  set_tests_properties(tree_deb PROPERTIES
    LABELS tree SKIP_RETURN_CODE 77 TIMEOUT 60 RESOURCE_LOCK install)
endif()
