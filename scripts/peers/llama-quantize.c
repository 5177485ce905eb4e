/* llama-quantize for tests/golden/gguf/quantize.json: IN OUT FILE_TYPE THREADS [pure] [im=FILE] [kvs=KEY=TEXT] [kvi=KEY=NUMBER].
   FILE of importance: lines "NAME COUNT", each with COUNT floats behind it. Built by llama-quantize.sh. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "llama.h"

#define MAX_ENTRIES 4096
#define MAX_KEYS 8

static void errors_only(enum ggml_log_level level, const char *text, void *user) {
  (void)user;
  if (level >= GGML_LOG_LEVEL_ERROR) fputs(text, stderr);
}

static int read_importance(const char *path, struct llama_model_imatrix_data *entries) {
  char name[256];
  int count, n = 0;
  FILE *file = fopen(path, "rb");
  if (file == NULL) return -1;
  while (n < MAX_ENTRIES - 1 && fscanf(file, "%255s %d", name, &count) == 2) {
    float *data = malloc(sizeof(float) * count);
    fgetc(file);
    if (fread(data, sizeof(float), count, file) != (size_t)count) return -1;
    entries[n++] = (struct llama_model_imatrix_data){strdup(name), data, count};
  }
  fclose(file);
  return n;
}

static void add_key(struct llama_model_kv_override *key, char *text, int is_text) {
  char *value = strchr(text, '=');
  *value++ = 0;
  snprintf(key->key, sizeof key->key, "%s", text);
  key->tag = is_text ? LLAMA_KV_OVERRIDE_TYPE_STR : LLAMA_KV_OVERRIDE_TYPE_INT;
  if (is_text) snprintf(key->val_str, sizeof key->val_str, "%s", value);
  else key->val_i64 = atoll(value);
}

int main(int argc, char **argv) {
  static struct llama_model_imatrix_data entries[MAX_ENTRIES];
  static struct llama_model_kv_override keys[MAX_KEYS + 1];
  int n_keys = 0;
  struct llama_model_quantize_params params = llama_model_quantize_default_params();
  if (argc < 5) return 2;
  llama_log_set(errors_only, NULL);
  llama_backend_init();
  params.ftype = atoi(argv[3]);
  params.nthread = atoi(argv[4]);
  for (int i = 5; i < argc; i++) {
    if (strcmp(argv[i], "pure") == 0) {
      params.pure = 1;
    } else if (strncmp(argv[i], "im=", 3) == 0) {
      if (read_importance(argv[i] + 3, entries) < 0) return 2;
      params.imatrix = entries;
    } else if (n_keys < MAX_KEYS) {
      add_key(&keys[n_keys++], argv[i] + 4, argv[i][2] == 's');
    }
  }
  if (n_keys > 0) params.kv_overrides = keys;
  return llama_model_quantize(argv[1], argv[2], &params);
}
