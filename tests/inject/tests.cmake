# SPDX-License-Identifier: MIT
#
# Delays inside the sequences that a program inlines (inject.h): a copy of the
# installed header of the sequences, with a delay in place of each comment that
# says what is true there. A comment that is not found stops the configuration,
# or a test would wait for nothing.

set(inject_header weir/arch/x86_64.h)
set(inject_points
  0 "no mark stands yet"
  1 "active is loaded"
  2 "the mark stands"
  3 "all but the commit"
  4 "between the two sequences")

file(READ ${root}/include/${inject_header} inject_text)
set_property(DIRECTORY APPEND PROPERTY
  CMAKE_CONFIGURE_DEPENDS ${root}/include/${inject_header})

function(inject_replace from to)
  string(FIND "${inject_text}" "${from}" found)
  if(found EQUAL -1)
    message(FATAL_ERROR "${inject_header} has no ${from} (tests/inject)")
  endif()
  string(REPLACE "${from}" "${to}" text "${inject_text}")
  set(inject_text "${text}" PARENT_SCOPE)
endfunction()

while(inject_points)
  list(POP_FRONT inject_points n what)
  inject_replace("/* ${what} */" "WEIR_INJECT(${n})")
endwhile()
# What a delay counts in.
inject_replace("#define WEIR_X86_CLOBBERS"
  "#define WEIR_X86_INJECTED 1\n#define WEIR_X86_CLOBBERS \"r11\",")
file(CONFIGURE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/inject/${inject_header}
  CONTENT "${inject_text}" @ONLY)

# For programs that include inject.h.
function(weir_inject)
  foreach(target IN LISTS ARGN)
    target_include_directories(${target} BEFORE PRIVATE
      ${CMAKE_CURRENT_BINARY_DIR}/inject ${root}/tests/inject)
  endforeach()
endfunction()

weir_inject(unit_fast_aborts unit_stat_pending
  stress_cache_torture stress_pool_torture stress_range_torture)
