# SPDX-License-Identifier: MIT
#
# Programs built with the last release must run with this library: the .abi file
# and constants-*.txt, here, say what that was.

if(NOT WEIR_SANITIZE)
  add_test(NAME tree_abi COMMAND ${root}/scripts/check-abi
    $<TARGET_FILE:weir>)
  set_tests_properties(tree_abi PROPERTIES
    LABELS tree SKIP_RETURN_CODE 77 TIMEOUT 60)
endif()
# Programs compiled with an older and a later header than the library's.
foreach(header IN ITEMS OLDER LATER)
  string(TOLOWER abi_${header}_header name)
  add_executable(${name} ${root}/tests/abi/sizes.c)
  target_compile_definitions(${name} PRIVATE HEADER_${header}=1)
  # Only tests/: the headers of this version must not be found.
  target_include_directories(${name} PRIVATE ${root}/tests)
  target_link_libraries(${name} PRIVATE weir_flags $<TARGET_FILE:weir>)
  add_dependencies(${name} weir)
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES LABELS unit TIMEOUT 60)
endforeach()
