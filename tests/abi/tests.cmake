# SPDX-License-Identifier: MIT
#
# Programs built with the last release must run with this library: abi/ says
# what that was.

if(NOT WEIR_SANITIZE)
  add_test(NAME tree_abi COMMAND ${root}/scripts/check-abi
    $<TARGET_FILE:weir>)
  set_tests_properties(tree_abi PROPERTIES
    LABELS tree SKIP_RETURN_CODE 77 TIMEOUT 60)
endif()
