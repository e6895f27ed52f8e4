# SPDX-License-Identifier: MIT
# Cross compiling for TRAPLINE_HOST (aarch64, riscv64, s390x, armhf): Debian's cross gcc, the libraries of
# tests/hosts/sysroot, and qemu-user to run what was built.
set(CMAKE_SYSTEM_NAME Linux)
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES TRAPLINE_HOST)
set(triplet ${TRAPLINE_HOST}-linux-gnu)
set(CMAKE_SYSTEM_PROCESSOR ${TRAPLINE_HOST})
set(qemu ${TRAPLINE_HOST})
if(TRAPLINE_HOST STREQUAL armhf)
  set(triplet arm-linux-gnueabihf)
  set(CMAKE_SYSTEM_PROCESSOR arm)
  set(qemu arm)
endif()

if(DEFINED ENV{TRAPLINE_SYSROOTS})
  set(CMAKE_SYSROOT $ENV{TRAPLINE_SYSROOTS}/${TRAPLINE_HOST})
else()
  get_filename_component(CMAKE_SYSROOT ${CMAKE_CURRENT_LIST_DIR}/../../build/sysroot/${TRAPLINE_HOST} ABSOLUTE)
endif()
if(NOT EXISTS ${CMAKE_SYSROOT}/.complete)
  message(FATAL_ERROR "no libraries for ${TRAPLINE_HOST}; run tests/hosts/sysroot ${TRAPLINE_HOST}")
endif()

set(CMAKE_C_COMPILER ${triplet}-gcc)
# The cross compiler prefers the C library that was packaged with it: the sysroot's comes first.
set(libraries ${CMAKE_SYSROOT}/usr/lib/${triplet})
set(CMAKE_C_FLAGS_INIT "-isystem ${CMAKE_SYSROOT}/usr/include/${triplet} -isystem ${CMAKE_SYSROOT}/usr/include -B${libraries}")
set(CMAKE_EXE_LINKER_FLAGS_INIT "-L${libraries}")
set(CMAKE_LIBRARY_ARCHITECTURE ${triplet})

set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
set(ENV{PKG_CONFIG_SYSROOT_DIR} ${CMAKE_SYSROOT})
set(ENV{PKG_CONFIG_LIBDIR} ${libraries}/pkgconfig)
set(ENV{PKG_CONFIG_PATH} "")

set(CMAKE_CROSSCOMPILING_EMULATOR /usr/bin/qemu-${qemu}-static;-L;${CMAKE_SYSROOT})
