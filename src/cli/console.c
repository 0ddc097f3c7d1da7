/* What the commands share. */
#include "cli/console.h"

#include "base/error.h"
#include "sql/caret.h"
#include "store/store.h"

#include <signal.h>
#include <unistd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define READ_BYTES ((size_t)64 << 10)
#define SCRIPT_BYTES_MAX ((size_t)64 << 20)
#define MEMORY_LEAST (INT64_C(64) << 10)

int console_error(const struct sabot_error *err, const char *name, const char *text, size_t text_size) {
    char picture[1024] = "";
    if (err->sql_line && text) { sql_caret(text, text_size, err, picture, sizeof picture); }
    if (err->sql_line && name) {
        fprintf(stderr, "%s:%u:%u: %s\n%s", name, err->sql_line, err->sql_column, err->message, picture);
    } else {
        fprintf(stderr, "sabot: %s\n%s", err->message, picture);
    }
    return sabot_status_exit_code(err->status);
}

int console_usage(const char *command, const char *format, ...) {
    va_list args;
    va_start(args, format);
    fprintf(stderr, "sabot %s: ", command);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\n`sabot help %s` shows its options.\n", command);
    return sabot_status_exit_code(SABOT_ERR_USAGE);
}

sabot_status console_read(struct env *env, const char *path, char **data, size_t *size, struct sabot_error *err) {
    if (strcmp(path, "-") != 0) { return env_read_file(env, path, data, size, err); }
    struct text text = {0};
    size_t got = 0;
    do {
        char *target = text_reserve(&text, READ_BYTES);
        if (!target || text.size > SCRIPT_BYTES_MAX) {
            text_clear(&text);
            return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the script on standard input is larger than 64 MiB");
        }
        const sabot_status status = env_read(env_stdin(env), -1, target, READ_BYTES, &got, err);
        if (status != SABOT_OK) {
            text_clear(&text);
            return status;
        }
        text.size += got;
    } while (got > 0);
    text_append(&text, "", 1);
    *size = text.size - 1;
    *data = text.data;
    return SABOT_OK;
}

void console_time(int64_t ms, char *target, size_t size) {
    const time_t seconds = (time_t)(ms / 1000);
    struct tm parts;
    target[0] = '\0';
    if (gmtime_r(&seconds, &parts)) { strftime(target, size, "%Y-%m-%d %H:%M:%S", &parts); }
}

struct store *console_store(struct sabot_error *err) {
    static struct store *store;
    if (!store) { store_new(env_real(), NULL, 0, &store, err); }
    return store;
}

int console_setting(const char *command, const char *key, const char *value, struct console_session *given) {
    struct sabot_error err = {0};
    const struct sql_span nowhere = {0};
    if (settings_set(&given->settings, key, value, nowhere, nowhere, &err) == SABOT_OK) { return -1; }
    return console_usage(command, "%s", err.message);
}

int console_option(const char *command, int option, char *value, struct console_session *given) {
    struct sabot_error err = {0};
    char *equals;
    switch (option) {
    case 'p': return console_setting(command, "parallelism.default", value, given);
    case CONSOLE_OPTION_MEMORY:
        if (size_parse(value, &given->memory_limit, &err) != SABOT_OK) {
            return console_usage(command, "--memory: %s", err.message);
        }
        if (given->memory_limit >= MEMORY_LEAST) { return -1; }
        return console_usage(command, "--memory %s: that is %lld bytes, and no job runs in less than %lld: add a "
                             "unit, such as 4gb", value, (long long)given->memory_limit, (long long)MEMORY_LEAST);
    case CONSOLE_OPTION_SET:
        equals = strchr(value, '=');
        if (!equals) { return console_usage(command, "--set %s: write KEY=VALUE", value); }
        *equals = 0;
        return console_setting(command, value, equals + 1, given);
    default: return console_usage(command, "the command line can't be understood");
    }
}

sabot_status console_script_open(const char *path, const char *sql, const struct console_session *given,
                                 struct console_script *out, struct sabot_error *err) {
    *out = (struct console_script){.name = sql ? "(-e)" : strcmp(path, "-") == 0 ? "(stdin)" : path};
    SABOT_TRY(session_new(env_real(), given->memory_limit, &out->session, err));
    out->session->settings = given->settings;
    if (sql) {
        out->text = strdup(sql);
        out->size = strlen(sql);
        if (!out->text) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for the script"); }
    } else {
        SABOT_TRY(console_read(env_real(), path, &out->text, &out->size, err));
    }
    return session_parse(out->text, out->size, &out->script, err);
}

int console_script_close(struct console_script *script, const struct sabot_error *err) {
    const int code = err->status == SABOT_OK ? 0 : console_error(err, script->name, script->text, script->size);
    session_script_clear(&script->script);
    session_free(script->session);
    free(script->text);
    return code;
}

static volatile sig_atomic_t signals, last_signal = SIGINT, told_to_end, reads;

static void on_signal(int number) {
    if (number != SIGALRM) {
        last_signal = number;
        signals = signals + 1;
    }
    if (number == SIGTERM || number == SIGHUP) { told_to_end = 1; }
    if (told_to_end && reads) { alarm(1); } /* it may have come just before the read that it is to interrupt */
}

void console_catch_signals(void) {
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN); /* a closed reader is an error of the write */
}

void console_catch_hangup(void) {
    struct sigaction action = {.sa_handler = on_signal}, before;
    if (sigaction(SIGHUP, NULL, &before) == 0 && before.sa_handler == SIG_IGN) { return; } /* nohup */
    sigaction(SIGHUP, &action, NULL);
}

bool console_reads(bool begins) {
    const struct sigaction action = {.sa_handler = on_signal};
    if (begins) { sigaction(SIGALRM, &action, NULL); }
    reads = begins;
    if (!begins) { alarm(0); }
    return !told_to_end;
}

bool console_is_told_to_end(void) { return told_to_end != 0; }
int console_signals(void) { return signals; }
int console_signal_code(void) { return 128 + last_signal; }
void console_signals_clear(void) { signals = 0; }

void console_duration(int64_t ms, char *target, size_t size) {
    static const struct {
        int64_t ms;
        const char *name;
    } units[] = {{31557600000, "y"}, {86400000, "d"}, {3600000, "h"}, {60000, "min"}, {1000, "s"}};
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (ms < units[i].ms) { continue; }
        const double value = (double)ms / (double)units[i].ms;
        snprintf(target, size, value < 10 ? "%.1f %s" : "%.0f %s", value, units[i].name);
        return;
    }
    snprintf(target, size, "%lld ms", (long long)(ms > 0 ? ms : 0));
}

void console_number(double value, char *target, size_t size) {
    if (value >= 1e9) {
        snprintf(target, size, "%.2f G", value / 1e9);
    } else if (value >= 1e6) {
        snprintf(target, size, "%.2f M", value / 1e6);
    } else if (value >= 1e4) {
        snprintf(target, size, "%.1f k", value / 1e3);
    } else {
        snprintf(target, size, "%.0f", value);
    }
}
