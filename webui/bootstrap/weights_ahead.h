/* Included into every C file of llama.cpp when start.sh compiles it (plan.py says when).

   A model writes one token by going once through all its weights. Between two loads lies so much arithmetic that the
   processor, looking ahead by itself, sees few of them and stands waiting for memory half of the time. So each row of
   a matrix asks for what lies 2 KB further on. Only waiting changes, no result does: benchmarks/ahead.py measures it.

   llama.cpp's loop over the rows calls its kernel by the name vec_dot. The other names are that loop's own: ir1 is the
   column, iir1 the first one of the block (the later ones find the rows in the cache), nb01 the bytes of a row. */

#if defined(__GNUC__) && !defined(__cplusplus)

#define AHEAD_BYTES 2048
#define AHEAD_LINE 64
#define AHEAD_TO_SECOND_CACHE 2

#define vec_dot(n, s, bs, x, bx, y, by, nrc)                                                                   \
    do {                                                                                                       \
        if (ir1 == iir1) {                                                                                     \
            const char * ahead = (const char *) (x) + AHEAD_BYTES;                                             \
            for (const char * end = ahead + nb01 * (nrc); ahead < end; ahead += AHEAD_LINE) {                  \
                __builtin_prefetch(ahead, 0, AHEAD_TO_SECOND_CACHE);                                           \
            }                                                                                                  \
        }                                                                                                      \
        vec_dot(n, s, bs, x, bx, y, by, nrc);                                                                  \
    } while (0)

#endif
