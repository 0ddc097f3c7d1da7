/* sabot explain: the plans of the queries and INSERTs of a script, without running them. */
#include "cli/commands.h"
#include "cli/console.h"

#include <stdio.h>
#include <stdlib.h>

/* CREATE and SET take effect, because later statements need them; queries and INSERTs are explained. */
static sabot_status explain_script(struct session *session, struct session_script *script, struct sabot_error *err) {
    while (session_left(script) > 0) {
        struct session_result result;
        SABOT_TRY(session_explain_step(session, script, &result, err));
        BATCH_OWNED struct batch *rows = result.rows;
        for (int32_t i = 0; rows && i < rows->selected; i++) {
            const struct column *column = rows->columns[0];
            const struct string_view *view =
                (const struct string_view *)column->values + column_at(column, batch_row(rows, i));
            fwrite(string_view_data(view), 1, view->size, stdout);
            putchar('\n');
        }
    }
    return SABOT_OK;
}

int command_explain(int argc, char **argv) {
    if (argc != 2 || strcmp(argv[1], "--help") == 0) {
        fputs("usage: sabot explain FILE        FILE: a SQL script, - for standard input\n\n"
              "Shows the logical, the optimised and the physical plan of each query and INSERT. Nothing is run.\n",
              argc == 2 ? stdout : stderr);
        return argc == 2 ? 0 : sabot_status_exit_code(SABOT_ERR_USAGE);
    }
    struct sabot_error err = {0};
    struct env *env = env_real();
    struct session *session = NULL;
    struct session_script script = {0};
    char *text = NULL;
    size_t size = 0;
    sabot_status status = session_new(env, 0, &session, &err);
    if (status == SABOT_OK) { status = console_read(env, argv[1], &text, &size, &err); }
    if (status == SABOT_OK) { status = session_parse(text, size, &script, &err); }
    if (status == SABOT_OK) { status = explain_script(session, &script, &err); }
    const int code = status == SABOT_OK ? 0 : console_error(&err, argv[1], text, size);
    session_script_clear(&script);
    session_free(session);
    free(text);
    return code;
}
