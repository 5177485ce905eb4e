/* Encodes a file of float32 with ggml on one thread, for bench/ggml.js:
 *   ggml-encode TYPE_ID COLUMNS VALUES IMPORTANCE|- OUTPUT REPEATS
 * writes the blocks and prints the MB/s of float32, in CPU time. */
#include "ggml.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static float *read_floats(const char *name, size_t *count) {
  FILE *file = fopen(name, "rb");
  if (!file) exit(2);
  fseek(file, 0, SEEK_END);
  *count = ftell(file) / sizeof(float);
  rewind(file);
  float *values = malloc(*count * sizeof(float));
  if (fread(values, sizeof(float), *count, file) != *count) exit(2);
  fclose(file);
  return values;
}

static double cpu_seconds(void) {
  struct timespec time;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return time.tv_sec + time.tv_nsec * 1e-9;
}

int main(int count, char **arguments) {
  if (count != 7) return 1;
  enum ggml_type type = atoi(arguments[1]);
  long columns = atol(arguments[2]);
  size_t values_count, weights_count;
  float *values = read_floats(arguments[3], &values_count);
  float *weights = strcmp(arguments[4], "-") ? read_floats(arguments[4], &weights_count) : NULL;
  long rows = values_count / columns, repeats = atol(arguments[6]);
  size_t bytes = rows * ggml_row_size(type, columns);
  void *blocks = malloc(bytes);
  ggml_quantize_init(type);
  double began = cpu_seconds();
  for (long i = 0; i < repeats; i++) ggml_quantize_chunk(type, values, blocks, 0, rows, columns, weights);
  printf("%.2f MB/s\n", repeats * values_count * sizeof(float) / 1e6 / (cpu_seconds() - began));
  FILE *file = fopen(arguments[5], "wb");
  if (!file || fwrite(blocks, 1, bytes, file) != bytes) return 2;
  return fclose(file);
}
