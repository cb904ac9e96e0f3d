/* The table of loops (map.h) and what Python may ask about it. */
#include <string.h>
#include "map.h"

fbc_map_row fbc_map[FBC_MAP_ROWS];

void fbc_map_fill(void) {
    memset(fbc_map, 0, sizeof fbc_map);
    fbc_map_int(fbc_map), fbc_map_float(fbc_map), fbc_map_math32(fbc_map), fbc_map_math64(fbc_map);
    fbc_map_complex(fbc_map), fbc_map_misc(fbc_map), fbc_map_cast(fbc_map);
}

const char *fbc_op_name(int op) {
    static const char *const names[] = {
#define X(name) #name,
        FBC_OPS(X)
#undef X
    };
    return op >= 0 && op < FBC_N_OPS ? names[op] : NULL;
}
int fbc_has_map(int op, int dtype) { return op >= 0 && op < FBC_N_OPS && fbc_map[FBC_MAP_ID(op, dtype)].vv != NULL; }
int fbc_has_cast(int from, int to) { return fbc_map[FBC_CAST_ID(from, to)].vv != NULL; }
int64_t fbc_echo(const int64_t *context, const int64_t *args) { return context[0] + context[1] + args[0] + args[1]; }
