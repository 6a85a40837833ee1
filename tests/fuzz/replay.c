/* Stands in for libFuzzer where there is none: runs each file of the folders or files named through the target once. */
#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);
__attribute__((weak)) int LLVMFuzzerInitialize(int *argc, char ***argv);

enum { INPUT_BYTES_MAX = 1 << 20 };

static bool run_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    uint8_t *bytes = malloc(INPUT_BYTES_MAX);
    uint8_t *exact = NULL;
    size_t len = 0;
    bool is_read = false;

    if (file != NULL && bytes != NULL) {
        len = fread(bytes, 1, INPUT_BYTES_MAX, file);
        is_read = ferror(file) == 0 && feof(file) != 0;
        exact = malloc(len == 0 ? 1 : len);
    }
    if (is_read && exact != NULL) {
        /* a block of its own size, so that a sanitizer sees one byte too far */
        memcpy(exact, bytes, len);
        printf("%s\n", path);
        fflush(stdout); /* the last line names the input that crashed */
        (void)LLVMFuzzerTestOneInput(exact, len);
    } else {
        printf("cannot read %s\n", path);
    }
    if (file != NULL) {
        fclose(file);
    }
    free(bytes);
    free(exact);
    return is_read;
}

/* Returns the number of inputs run, or -1. */
static int run_folder(const char *path)
{
    DIR *folder = opendir(path);
    struct dirent *entry;
    int count = 0;

    if (folder == NULL) {
        printf("no folder %s\n", path);
        return -1;
    }
    while (count >= 0 && (entry = readdir(folder)) != NULL) {
        char inside[4096];

        if (entry->d_name[0] == '.') {
            continue;
        }
        (void)snprintf(inside, sizeof(inside), "%s/%s", path, entry->d_name);
        count = run_file(inside) ? count + 1 : -1;
    }
    closedir(folder);
    return count;
}

int main(int argc, char **argv)
{
    int total = 0;

    if (LLVMFuzzerInitialize != NULL) {
        (void)LLVMFuzzerInitialize(&argc, &argv);
    }
    for (int i = 1; i < argc; i++) {
        struct stat about;
        int count;

        if (stat(argv[i], &about) == 0 && S_ISREG(about.st_mode)) {
            count = run_file(argv[i]) ? 1 : -1;
        } else {
            count = run_folder(argv[i]);
        }
        if (count < 0) {
            return EXIT_FAILURE;
        }
        total += count;
    }
    printf("%d inputs\n", total);
    return total > 0 ? EXIT_SUCCESS : EXIT_FAILURE; /* a corpus without a seed tests nothing */
}
