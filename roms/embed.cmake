# Write the bytes of INPUT as the C array NAME to OUTPUT; without INPUT an empty guest.
if(DEFINED INPUT)
  file(READ ${INPUT} hex HEX)
  file(SIZE ${INPUT} size)
  string(REGEX REPLACE "(................................)" "\\1\n    " hex "${hex}")
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," hex "${hex}")
else()
  set(hex "0,")
  set(size 0)
endif()
file(WRITE ${OUTPUT} "/* Made by roms/embed.cmake. */
#include \"roms/embedded_guest.h\"

const unsigned char ${NAME}[] = {
    ${hex}
};
const size_t ${NAME}_size = ${size};
")
