# SPDX-License-Identifier: MIT
#
# The library once more, with a point at each atomic access at which another
# thread may go on (seams.h), and scenarios whose interleavings are gone
# through. One test a group of scenarios.

if(NOT CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64" OR WEIR_SANITIZE MATCHES "thread"
    OR WEIR_DEBUG)
  return() # switches stacks by hand; the other trees would tell nothing more
endif()

set(interleave_sources ${lib_sources})
list(FILTER interleave_sources EXCLUDE REGEX
  "/src/(os/|api/(watch|machine))")
list(APPEND interleave_sources ${root}/src/os/cpuset.c ${root}/src/os/report.c)
file(GLOB interleave_own CONFIGURE_DEPENDS ${root}/tests/interleave/*.c)
add_executable(interleave ${interleave_sources} ${interleave_own})
target_include_directories(interleave PRIVATE
  ${root}/tests/interleave/include ${root}/include ${root}/src ${root}/tests)
target_compile_options(interleave PRIVATE -include interleave/seams.h)
target_compile_definitions(interleave PRIVATE WI_DEBUG=3)
target_link_libraries(interleave PRIVATE weir_flags)

set(interleave_bound "")
if(WEIR_SANITIZE)
  set(interleave_bound --bound 1)
endif()
foreach(group IN ITEMS ordinary quiet burst polling locked modes need freeze
    requests pool zone store)
  add_test(NAME interleave_${group}
    COMMAND interleave --group ${group} ${interleave_bound})
  set_tests_properties(interleave_${group} PROPERTIES
    LABELS interleave TIMEOUT 240)
endforeach()
