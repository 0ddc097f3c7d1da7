/* Functions that write bytes and numbers as text and back: base64, hexadecimal, character sets, URLs, digests. */
#include "base/encode.h"
#include "expr/signature.h"

#include <openssl/evp.h>
#include <strings.h>

static const char digits_lower[] = "0123456789abcdef";
static const char digits_upper[] = "0123456789ABCDEF";

static int hex_value(char c) {
    if (c >= '0' && c <= '9') { return c - '0'; }
    const char lower = (char)(c | 32);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* Enough of a value for a message. */
static int shown(struct slice text) { return text.size > 60 ? 60 : (int)text.size; }

/* ---- HEX, UNHEX, BIN --------------------------------------------------------------------------------------------- */

static sabot_status hex_text_kernel(struct kernel_call *call, struct sabot_error *err) {
    FOR_ROWS(call, row, {
        const struct slice text = arg_string(call, 0, row);
        char *bytes = NULL;
        SABOT_TRY(reserve_string(call, 2 * text.size, &bytes, err));
        for (size_t i = 0; i < text.size; i++) {
            bytes[2 * i] = digits_upper[(unsigned char)text.data[i] >> 4];
            bytes[2 * i + 1] = digits_upper[text.data[i] & 15];
        }
        put_reserved(call, row, bytes, 2 * text.size);
    })
    return SABOT_OK;
}

/* Negative numbers as 64 bits of two's complement, as Java writes them. */
static sabot_status digits_kernel(struct kernel_call *call, struct sabot_error *err) {
    const int bits = call->expr->function->name[0] == 'H' ? 4 : 1;
    FOR_ROWS(call, row, {
        uint64_t value = (uint64_t)arg_long(call, 0, row);
        char text[64];
        int at = 64;
        do {
            text[--at] = digits_upper[value & ((1u << bits) - 1)];
            value >>= bits;
        } while (value != 0);
        SABOT_TRY(put_string(call, row, text + at, (size_t)(64 - at), err));
    })
    return SABOT_OK;
}

sabot_status bind_hex(const struct function *function, struct function_binding *binding, struct sabot_error *err) {
    static const struct signature of_number[] = {{"HEX", "L", 'S', false, digits_kernel}};
    static const struct signature of_text[] = {{"HEX", "Y", 'S', false, hex_text_kernel}};
    if (type_is_integer(binding->args[0]->type)) { return BIND_SIGNATURE(function, binding, of_number, err); }
    return BIND_SIGNATURE(function, binding, of_text, err);
}

static sabot_status unhex_kernel(struct kernel_call *call, struct sabot_error *err) {
    FOR_ROWS(call, row, {
        const struct slice text = arg_string(call, 0, row);
        const size_t odd = text.size & 1; /* a digit alone at the front */
        char *bytes = NULL;
        SABOT_TRY(reserve_string(call, text.size / 2 + odd, &bytes, err));
        size_t used = 0;
        bool good = true;
        for (size_t i = 0; i < text.size && good; i += used == 1 && odd ? 1 : 2) {
            const int high = odd && i == 0 ? 0 : hex_value(text.data[i]);
            const int low = hex_value(text.data[odd && i == 0 ? 0 : i + 1]);
            good = high >= 0 && low >= 0;
            bytes[used++] = (char)(high * 16 + low);
        }
        put_reserved(call, row, bytes, used);
        if (!good) { SABOT_TRY(put_null(call, row, err)); }
    })
    return SABOT_OK;
}

/* ---- base64 ------------------------------------------------------------------------------------------------------ */

static sabot_status to_base64_kernel(struct kernel_call *call, struct sabot_error *err) {
    FOR_ROWS(call, row, {
        const struct slice text = arg_string(call, 0, row);
        const size_t size = base64_size(text.size);
        char *bytes = NULL;
        SABOT_TRY(reserve_string(call, size, &bytes, err));
        base64_encode(text.data, text.size, bytes);
        put_reserved(call, row, bytes, size);
    })
    return SABOT_OK;
}

static sabot_status from_base64_kernel(struct kernel_call *call, struct sabot_error *err) {
    FOR_ROWS(call, row, {
        const struct slice text = arg_string(call, 0, row);
        char *bytes = NULL;
        size_t used = 0;
        SABOT_TRY(reserve_string(call, text.size / 4 * 3 + 3, &bytes, err));
        if (!base64_decode(text.data, text.size, BASE64_STRICT, bytes, &used)) {
            return SABOT_FAIL(err, SABOT_ERR_DATA, "FROM_BASE64: '%.*s' is no base64", shown(text), text.data);
        }
        put_reserved(call, row, bytes, used);
    })
    return SABOT_OK;
}

/* ---- ENCODE, DECODE ---------------------------------------------------------------------------------------------- */

enum charset { CHARSET_ASCII, CHARSET_LATIN1, CHARSET_UTF8, CHARSET_UTF16BE, CHARSET_UTF16LE, CHARSET_UTF16, CHARSETS };

static enum charset charset_find(struct slice name) {
    static const char *const names[CHARSETS] = {"US-ASCII", "ISO-8859-1", "UTF-8", "UTF-16BE", "UTF-16LE", "UTF-16"};
    for (int i = 0; i < CHARSETS; i++) {
        if (strlen(names[i]) == name.size && strncasecmp(names[i], name.data, name.size) == 0) {
            return (enum charset)i;
        }
    }
    return CHARSETS;
}

static sabot_status unknown_charset(struct slice name, struct sabot_error *err) {
    return SABOT_FAIL(
        err, SABOT_ERR_DATA,
        "'%.*s' is no character set that is known here: use US-ASCII, ISO-8859-1, UTF-8, UTF-16BE, UTF-16LE "
        "or UTF-16",
        shown(name), name.data);
}

static size_t put_utf16(uint32_t unit, bool little, char *to) {
    to[little ? 1 : 0] = (char)(unit >> 8);
    to[little ? 0 : 1] = (char)unit;
    return 2;
}

/* A character in a set; '?' where the set does not have it. */
static size_t charset_put(enum charset set, uint32_t code, char *to) {
    if (set == CHARSET_UTF8) { return (size_t)utf8_encode(code == UTF8_INVALID ? 0xfffd : code, to); }
    if (set <= CHARSET_LATIN1) {
        to[0] = code < (set == CHARSET_ASCII ? 0x80u : 0x100u) ? (char)code : '?';
        return 1;
    }
    const bool little = set == CHARSET_UTF16LE;
    if (code == UTF8_INVALID) { code = 0xfffd; }
    if (code < 0x10000) { return put_utf16(code, little, to); }
    put_utf16(0xd800 + ((code - 0x10000) >> 10), little, to);
    return 2 + put_utf16(0xdc00 + ((code - 0x10000) & 0x3ff), little, to + 2);
}

static sabot_status encode_kernel(struct kernel_call *call, struct sabot_error *err) {
    FOR_ROWS(call, row, {
        const struct slice text = arg_string(call, 0, row);
        const struct slice name = arg_string(call, 1, row);
        const enum charset set = charset_find(name);
        if (set == CHARSETS) { return unknown_charset(name, err); }
        char *bytes = NULL;
        SABOT_TRY(reserve_string(call, 3 * text.size + 4, &bytes, err));
        size_t used = 0;
        if (set == CHARSET_UTF16) { used += put_utf16(0xfeff, false, bytes); } /* Java writes the mark, big-endian */
        for (size_t i = 0; i < text.size;) {
            uint32_t code;
            i += (size_t)utf8_decode(text.data + i, text.size - i, &code);
            used += charset_put(set, code, bytes + used);
        }
        put_reserved(call, row, bytes, used);
    })
    return SABOT_OK;
}

/* The next character of bytes in a set; *code is U+FFFD for what is none. */
static size_t charset_get(enum charset set, bool little, const char *at, size_t size, uint32_t *code) {
    const unsigned char *from = (const unsigned char *)at;
    if (set == CHARSET_UTF8) {
        const int step = utf8_decode(at, size, code);
        if (*code == UTF8_INVALID) { *code = 0xfffd; }
        return (size_t)step;
    }
    if (set <= CHARSET_LATIN1) {
        *code = set == CHARSET_ASCII && from[0] >= 0x80 ? 0xfffd : from[0];
        return 1;
    }
    *code = 0xfffd;
    if (size < 2) { return size; }
    const uint32_t unit = little ? (uint32_t)from[1] << 8 | from[0] : (uint32_t)from[0] << 8 | from[1];
    if (unit < 0xd800 || unit > 0xdfff) {
        *code = unit;
        return 2;
    }
    if (unit > 0xdbff || size < 4) { return 2; }
    const uint32_t low = little ? (uint32_t)from[3] << 8 | from[2] : (uint32_t)from[2] << 8 | from[3];
    if (low < 0xdc00 || low > 0xdfff) { return 2; }
    *code = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
    return 4;
}

static sabot_status decode_kernel(struct kernel_call *call, struct sabot_error *err) {
    FOR_ROWS(call, row, {
        const struct slice text = arg_string(call, 0, row);
        const struct slice name = arg_string(call, 1, row);
        const enum charset set = charset_find(name);
        if (set == CHARSETS) { return unknown_charset(name, err); }
        char *bytes = NULL;
        SABOT_TRY(reserve_string(call, 3 * text.size + 4, &bytes, err));
        size_t used = 0;
        size_t i = 0;
        bool little = set == CHARSET_UTF16LE;
        if (set == CHARSET_UTF16 && text.size >= 2) { /* by the mark; big-endian without one */
            little = memcmp(text.data, "\xff\xfe", 2) == 0;
            i = little || memcmp(text.data, "\xfe\xff", 2) == 0 ? 2 : 0;
        }
        while (i < text.size) {
            uint32_t code;
            i += charset_get(set, little, text.data + i, text.size - i, &code);
            used += (size_t)utf8_encode(code, bytes + used);
        }
        put_reserved(call, row, bytes, used);
    })
    return SABOT_OK;
}

/* ---- URLs -------------------------------------------------------------------------------------------------------- */

static bool url_plain(char c) {
    return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || c == '.' || c == '-' || c == '*' ||
           c == '_';
}

static sabot_status url_encode_kernel(struct kernel_call *call, struct sabot_error *err) {
    FOR_ROWS(call, row, {
        const struct slice text = arg_string(call, 0, row);
        char *bytes = NULL;
        SABOT_TRY(reserve_string(call, 3 * text.size, &bytes, err));
        size_t used = 0;
        for (size_t i = 0; i < text.size; i++) {
            const unsigned char c = (unsigned char)text.data[i];
            if (url_plain((char)c)) {
                bytes[used++] = (char)c;
            } else if (c == ' ') {
                bytes[used++] = '+';
            } else {
                bytes[used++] = '%';
                bytes[used++] = digits_upper[c >> 4];
                bytes[used++] = digits_upper[c & 15];
            }
        }
        put_reserved(call, row, bytes, used);
    })
    return SABOT_OK;
}

static sabot_status url_decode_kernel(struct kernel_call *call, struct sabot_error *err) {
    FOR_ROWS(call, row, {
        const struct slice text = arg_string(call, 0, row);
        char *bytes = NULL;
        SABOT_TRY(reserve_string(call, text.size, &bytes, err));
        size_t used = 0;
        bool good = true;
        for (size_t i = 0; i < text.size && good; i++) {
            if (text.data[i] != '%') {
                bytes[used++] = text.data[i] == '+' ? ' ' : text.data[i];
                continue;
            }
            const int high = i + 2 < text.size ? hex_value(text.data[i + 1]) : -1;
            const int low = i + 2 < text.size ? hex_value(text.data[i + 2]) : -1;
            good = high >= 0 && low >= 0;
            bytes[used++] = (char)(high * 16 + low);
            i += 2;
        }
        put_reserved(call, row, bytes, used);
        if (!good) { SABOT_TRY(put_null(call, row, err)); }
    })
    return SABOT_OK;
}

/* The parts of a URL as java.net.URL has them; data NULL: it has no such part. */
struct url {
    struct slice protocol, authority, userinfo, host, path, query, ref, file;
};

static struct slice slice_between(const char *from, const char *to) {
    return (struct slice){from, (size_t)(to - from)};
}

static const char *find_in(struct slice text, char c) { return text.size ? memchr(text.data, c, text.size) : NULL; }

static bool url_parse(struct slice text, struct url *url) {
    memset(url, 0, sizeof *url);
    while (text.size > 0 && (unsigned char)text.data[0] <= ' ') { text = (struct slice){text.data + 1, text.size - 1}; }
    while (text.size > 0 && (unsigned char)text.data[text.size - 1] <= ' ') { text.size--; }
    const char *end = text.data + text.size;
    const char *colon = find_in(text, ':');
    if (!colon || colon == text.data || !code_is_letter((unsigned char)text.data[0])) { return false; }
    for (const char *at = text.data; at < colon; at++) {
        if (!url_plain(*at) && *at != '+') { return false; }
    }
    url->protocol = slice_between(text.data, colon);
    const char *at = colon + 1;
    const char *hash = find_in(slice_between(at, end), '#');
    if (hash) {
        url->ref = slice_between(hash + 1, end);
        end = hash;
    }
    const char *mark = find_in(slice_between(at, end), '?');
    if (mark) { url->query = slice_between(mark + 1, end); }
    const char *path_end = mark ? mark : end;
    if (path_end - at >= 2 && at[0] == '/' && at[1] == '/') {
        at += 2;
        const char *slash = find_in(slice_between(at, path_end), '/');
        const char *authority_end = slash ? slash : path_end;
        url->authority = slice_between(at, authority_end);
        const char *sign = find_in(url->authority, '@');
        if (sign) { url->userinfo = slice_between(at, sign); }
        const char *host = sign ? sign + 1 : at;
        const char *bracket =
            host < authority_end && *host == '[' ? find_in(slice_between(host, authority_end), ']') : NULL;
        const char *port = find_in(slice_between(bracket ? bracket : host, authority_end), ':');
        url->host = slice_between(host, port ? port : authority_end);
        at = authority_end;
    }
    url->path = slice_between(at, path_end);
    url->file = slice_between(at, end); /* with the query */
    return true;
}

static struct slice url_part(const struct url *url, struct slice name) {
    const struct {
        const char *name;
        struct slice value;
    } parts[] = {
        {"HOST", url->host},           {"PATH", url->path}, {"QUERY", url->query},         {"REF", url->ref},
        {"PROTOCOL", url->protocol},   {"FILE", url->file}, {"AUTHORITY", url->authority}, {"USERINFO", url->userinfo},
    };
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (slice_equal(name, (struct slice){parts[i].name, strlen(parts[i].name)})) { return parts[i].value; }
    }
    return (struct slice){NULL, 0};
}

/* The value behind key= in a=1&b=2. */
static struct slice query_value(struct slice query, struct slice key) {
    const char *at = query.data;
    const char *const end = at + query.size;
    while (at < end) {
        const char *amp = memchr(at, '&', (size_t)(end - at));
        const char *stop = amp ? amp : end;
        if ((size_t)(stop - at) > key.size && at[key.size] == '=' && memcmp(at, key.data, key.size) == 0) {
            return slice_between(at + key.size + 1, stop);
        }
        at = stop + 1;
    }
    return (struct slice){NULL, 0};
}

static sabot_status parse_url_kernel(struct kernel_call *call, struct sabot_error *err) {
    SABOT_TRY(column_builder_share(call->result, call->args[0], err));
    FOR_ROWS(call, row, {
        struct url url;
        struct slice part = {NULL, 0};
        if (url_parse(arg_string(call, 0, row), &url)) { part = url_part(&url, arg_string(call, 1, row)); }
        if (part.data && call->n_args == 3) {
            const bool is_query = slice_equal(arg_string(call, 1, row), (struct slice){"QUERY", 5});
            part = is_query ? query_value(part, arg_string(call, 2, row)) : (struct slice){NULL, 0};
        }
        if (part.data) {
            put_part(call, row, part.data, part.size);
        } else {
            SABOT_TRY(put_null(call, row, err));
        }
    })
    return SABOT_OK;
}

/* ---- digests ----------------------------------------------------------------------------------------------------- */

static sabot_status put_digest(struct kernel_call *call, int32_t row, const EVP_MD *digest, EVP_MD_CTX *context,
                               struct sabot_error *err) {
    const struct slice text = arg_string(call, 0, row);
    unsigned char hash[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    if (EVP_DigestInit_ex(context, digest, NULL) != 1 || EVP_DigestUpdate(context, text.data, text.size) != 1 ||
        EVP_DigestFinal_ex(context, hash, &size) != 1) {
        return SABOT_FAIL(err, SABOT_ERR_DATA, "the system's OpenSSL does not compute %s", EVP_MD_get0_name(digest));
    }
    char hex[2 * EVP_MAX_MD_SIZE];
    for (unsigned i = 0; i < size; i++) {
        hex[2 * i] = digits_lower[hash[i] >> 4];
        hex[2 * i + 1] = digits_lower[hash[i] & 15];
    }
    return put_string(call, row, hex, 2 * size, err);
}

static const EVP_MD *sha2_of(int64_t bits) {
    return bits == 224 ? EVP_sha224() : bits == 256 ? EVP_sha256() : bits == 384 ? EVP_sha384()
         : bits == 512 ? EVP_sha512() : NULL;
}

static const EVP_MD *digest_of(const char *name) {
    if (strcmp(name, "MD5") == 0) { return EVP_md5(); }
    return strcmp(name, "SHA1") == 0 ? EVP_sha1() : sha2_of(strtol(name + 3, NULL, 10));
}

static void context_free(void *context) { EVP_MD_CTX_free(context); }

static sabot_status digest_kernel(struct kernel_call *call, struct sabot_error *err) {
    if (!call->scratch) {
        call->scratch = EVP_MD_CTX_new();
        call->scratch_free = context_free;
        if (!call->scratch) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a digest"); }
    }
    const EVP_MD *fixed = call->n_args == 1 ? digest_of(call->expr->function->name) : NULL;
    FOR_ROWS(call, row, {
        const EVP_MD *digest = fixed ? fixed : sha2_of(arg_int(call, 1, row));
        if (!digest) {
            SABOT_TRY(put_null(call, row, err));
            continue;
        }
        SABOT_TRY(put_digest(call, row, digest, call->scratch, err));
    })
    return SABOT_OK;
}

/* ---- binding ----------------------------------------------------------------------------------------------------- */

static const struct signature signatures[] = {
    {"BIN", "L", 'S', false, digits_kernel},
    {"UNHEX", "S", 'X', true, unhex_kernel},
    {"TO_BASE64", "Y", 'S', false, to_base64_kernel},
    {"FROM_BASE64", "S", 'S', false, from_base64_kernel},
    {"ENCODE", "SS", 'X', false, encode_kernel},
    {"DECODE", "XS", 'S', false, decode_kernel},
    {"URL_ENCODE", "S", 'S', false, url_encode_kernel},
    {"URL_DECODE", "S", 'S', true, url_decode_kernel},
    {"PARSE_URL", "SS|S", 'S', true, parse_url_kernel},
    {"MD5", "Y", 'S', false, digest_kernel},
    {"SHA1", "Y", 'S', false, digest_kernel},
    {"SHA224", "Y", 'S', false, digest_kernel},
    {"SHA256", "Y", 'S', false, digest_kernel},
    {"SHA384", "Y", 'S', false, digest_kernel},
    {"SHA512", "Y", 'S', false, digest_kernel},
    {"SHA2", "YI", 'S', true, digest_kernel},
};

sabot_status bind_encoding(const struct function *function, struct function_binding *binding, struct sabot_error *err) {
    return BIND_SIGNATURE(function, binding, signatures, err);
}
