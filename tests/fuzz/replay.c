/* Gives files to a fuzz target, one after the other: what libFuzzer does with its corpus, without libFuzzer. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define INPUT_BYTES_MAX (16 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void replay(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file) {
        printf("not ok - %s can't be read\n", path);
        exit(1);
    }
    uint8_t *data = malloc(INPUT_BYTES_MAX);
    const size_t size = data ? fread(data, 1, INPUT_BYTES_MAX, file) : 0;
    fclose(file);
    /* A block of exactly the right size, so that the sanitizer sees a read behind its end. */
    data = realloc(data, size > 0 ? size : 1);
    LLVMFuzzerTestOneInput(data, size);
    free(data);
    printf("ok - %s\n", path);
}

int main(int argc, char **argv) {
    /* Where it dies, the last line printed is the input before the one that did it. */
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (int i = 1; i < argc; i++) {
        replay(argv[i]);
    }
    return 0;
}
