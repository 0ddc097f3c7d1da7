/* Anything may be handed to the parser; what parses must survive formatting and parse to the same text again. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sql/caret.h"
#include "sql/format.h"
#include "sql/parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* All statements as one text in the script's arena. */
static const char *format(struct sql_script *script) {
    const char *text = "";
    for (unsigned i = 0; i < script->statements.count && text; i++) {
        const char *statement = sql_format_statement(&script->arena, script->statements.items[i]);
        text = statement ? arena_format(&script->arena, "%s%s;\n", text, statement) : NULL;
    }
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const char *text = (const char *)data;
    struct sql_script *script = NULL;
    struct sabot_error err = {0};
    char picture[600];
    sql_parse_is_complete(text, size);
    if (sql_parse(text, size, &script, &err) != SABOT_OK) {
        sql_caret(text, size, &err, picture, sizeof picture);
        if (script || err.message[0] == 0) { abort(); }
        return 0;
    }
    const char *once = script->statements.count < 64 ? format(script) : NULL;
    if (once) {
        struct sql_script *again = NULL;
        if (sql_parse(once, strlen(once), &again, &err) != SABOT_OK) {
            /* Parentheses that formatting adds may exceed the depth. */
            if (err.status != SABOT_ERR_MEMORY && !strstr(err.message, "nested")) {
                fprintf(stderr, "%s\n%u:%u %s\n", once, err.sql_line, err.sql_column, err.message);
                abort();
            }
        } else {
            const char *twice = format(again);
            if (twice && strcmp(once, twice) != 0) {
                fprintf(stderr, "%s\n%s\n", once, twice);
                abort();
            }
            sql_script_free(again);
        }
    }
    sql_script_free(script);
    return 0;
}
