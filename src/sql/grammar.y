/* The grammar of Flink SQL, for lemon. It has no conflicts; keep it so (lemon fails on one).
 *
 * Words become keywords in lexer.c, by what stands around them; most tokens here fall back to names (%fallback).
 * A token must not fall back where a name may stand and the token may follow (aliases: `FROM t LIMIT 1`): lemon would
 * take it for the name. Actions only call build.c. */
%name SqlGrammar
%token_prefix TK_
%token_type {struct sql_token}
%default_type {struct sql_token}
%extra_argument {struct sql_build *b}
%stack_size 0
%start_symbol script

%include {
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "sql/build.h"
#include "sql/parse_internal.h"

#define YYNOERRORRECOVERY 1
#define NO_EXPRS ((struct sql_exprs){0})
#define NO_PATH ((struct sql_path){0})
}

%syntax_error { (void)yymajor; (void)TOKEN; b->syntax_error = true; }
%stack_overflow { build_fail(b, SABOT_ERR_MEMORY, b->current.span, "no memory to parse this"); }

%fallback ID
    ADD AFTER ALTER ARRAY_LT ARRAY_WORD ASC BEGIN BY CASCADE CATALOG COLUMN COMMENT CREATE CUBE DATABASE DEFINE DESC
    DESCRIBE DROP END ENFORCED EXECUTE EXPLAIN FIRST FOLLOWING FUNCTION INTERVAL_TYPE JAR JOB LANGUAGE MAP_LT
    MEASURES METADATA MODIFY MULTISET_LT MULTISET_WORD PATTERN PERMUTE PLACING INTO PRECEDING RECURSIVE REMOVE RENAME
    RESET RESTRICT ROLLUP ROW_LT SET SHOW STALL STOP SYSTEM TEMPORARY TO TYPE_WORDS UNIQUE UNNEST USE VIEW VIRTUAL.

/* These three only settle: TABLE t ORDER BY belongs to the table, DAY TO SECOND to the interval, ((SELECT 1)) is a
 * query in parentheses. */
%nonassoc WITHOUT_MORE.
%nonassoc ORDER TO.
%left OR.
%left AND.
%right NOT.
%left IS IS_UNKNOWN IS_NOT_UNKNOWN IS_JSON.
%left EQ NE LT LE GT GE IS_DISTINCT IS_NOT_DISTINCT LIKE NOT_LIKE SIMILAR NOT_SIMILAR IN NOT_IN BETWEEN NOT_BETWEEN
      BETWEEN_SYMMETRIC NOT_BETWEEN_SYMMETRIC OVERLAPS.
%right ESCAPE.
%left PLUS MINUS.
%left STAR SLASH PERCENT CONCAT.
%right UNARY.
%left AT_TIME_ZONE AT_LOCAL.

/* ---- scripts ---------------------------------------------------------------------------------------------------- */

script ::= statements.
script ::= statements statement(S). { b->statements = build_statements(b, b->statements, S); }
statements ::= .
statements ::= statements SEMI.
statements ::= statements statement(S) SEMI. { b->statements = build_statements(b, b->statements, S); }

%type statement {struct sql_statement *}
%type plain_statement {struct sql_statement *}
%type runnable {struct sql_statement *}
%type insert {struct sql_statement *}
%type statement_set {struct sql_statement *}
statement(A) ::= plain_statement(S). { A = S; A->span = build_span(b, A->span); }
statement(A) ::= runnable(S). { A = S; A->span = build_span(b, A->span); }
statement(A) ::= EXECUTE(T) runnable(S). {
    A = S;
    A->execute = true;
    A->span = build_span(b, T.span);
}

runnable(A) ::= query(Q). {
    A = build_statement(b, SQL_STATEMENT_QUERY, Q->span);
    A->query = Q;
}
runnable(A) ::= insert(S). { A = S; }
runnable(A) ::= statement_set(S). { A = S; }

/* ---- names ------------------------------------------------------------------------------------------------------ */

%type path {struct sql_path}
%type ids {struct sql_path}
%type column_list {struct sql_path}
%type column_list_opt {struct sql_path}
path(A) ::= ID(N). { A = build_path(b, NO_PATH, N); }
path(A) ::= path(P) DOT ID(N). { A = build_path(b, P, N); }
ids(A) ::= ID(N). { A = build_path(b, NO_PATH, N); }
ids(A) ::= ids(P) COMMA ID(N). { A = build_path(b, P, N); }
column_list(A) ::= LP ids(P) RP. { A = P; }
column_list_opt(A) ::= . { A = NO_PATH; }
column_list_opt(A) ::= column_list(P). { A = P; }

%type string {const char *}
string(A) ::= STRING(T). { A = build_string(b, T); }
string(A) ::= UNICODE_STRING(T). { A = build_string(b, T); }

%type comment_opt {const char *}
comment_opt(A) ::= . { A = NULL; }
comment_opt(A) ::= COMMENT string(S). { A = S; }

%type if_exists {bool}
%type if_not_exists {bool}
if_exists(A) ::= . { A = false; }
if_exists(A) ::= IF_EXISTS. { A = true; }
if_not_exists(A) ::= . { A = false; }
if_not_exists(A) ::= IF_NOT_EXISTS. { A = true; }

/* ---- options ---------------------------------------------------------------------------------------------------- */

%type option {struct sql_option}
%type options {struct sql_options}
%type with_options {struct sql_options}
%type with_options_opt {struct sql_options}
%type option_keys {struct sql_options}
option(A) ::= STRING(K) EQ STRING(V). {
    A = (struct sql_option){build_string(b, K), build_string(b, V), K.span, V.span};
}
options(A) ::= option(O). { A = build_options(b, (struct sql_options){0}, O); }
options(A) ::= options(L) COMMA option(O). { A = build_options(b, L, O); }
with_options(A) ::= WITH LP options(L) RP. { A = L; }
with_options(A) ::= WITH LP RP. { A = (struct sql_options){0}; }
with_options_opt(A) ::= . { A = (struct sql_options){0}; }
with_options_opt(A) ::= with_options(L). { A = L; }
option_keys(A) ::= STRING(K). {
    A = build_options(b, (struct sql_options){0}, (struct sql_option){build_string(b, K), NULL, K.span, K.span});
}
option_keys(A) ::= option_keys(L) COMMA STRING(K). {
    A = build_options(b, L, (struct sql_option){build_string(b, K), NULL, K.span, K.span});
}

%type hints {struct sql_hints}
%type hint_list {struct sql_hints}
%type hint {struct sql_hint}
%type hint_args {struct sql_hint}
%type hint_arg {struct sql_option}
hints(A) ::= . { A = (struct sql_hints){0}; }
hints(A) ::= hints(L) HINT_OPEN hint_list(H) HINT_CLOSE. {
    A = L;
    for (unsigned i = 0; i < H.count; i++) { A = build_hints(b, A, H.items[i]); }
}
hint_list(A) ::= hint(H). { A = build_hints(b, (struct sql_hints){0}, H); }
hint_list(A) ::= hint_list(L) COMMA hint(H). { A = build_hints(b, L, H); }
hint_list(A) ::= hint_list(L) hint(H). { A = build_hints(b, L, H); }
hint(A) ::= ID(N). { A = (struct sql_hint){.name = build_name(b, N)}; }
hint(A) ::= ID(N) LP RP. { A = (struct sql_hint){.name = build_name(b, N)}; }
hint(A) ::= ID(N) LP hint_args(L) RP. { A = L; A.name = build_name(b, N); }
hint_args(A) ::= hint_arg(O). { A = (struct sql_hint){.options = build_options(b, (struct sql_options){0}, O)}; }
hint_args(A) ::= ID(N). { A = (struct sql_hint){.args = build_path(b, NO_PATH, N)}; }
hint_args(A) ::= hint_args(L) COMMA hint_arg(O). { A = L; A.options = build_options(b, L.options, O); }
hint_args(A) ::= hint_args(L) COMMA ID(N). { A = L; A.args = build_path(b, L.args, N); }
hint_arg(A) ::= option(O). { A = O; }
hint_arg(A) ::= ID(K) EQ STRING(V). {
    A = (struct sql_option){build_name(b, K).text, build_string(b, V), K.span, V.span};
}

/* ---- types ------------------------------------------------------------------------------------------------------ */

%type type {struct sql_type *}
%type bare_type {struct sql_type *}
%type fields {struct sql_fields}
%type field {struct sql_field}
type(A) ::= bare_type(T). { A = T; }
type(A) ::= bare_type(T) NOT NULL. { A = T; A->not_null = true; A->span = build_span(b, A->span); }
type(A) ::= bare_type(T) NULL. { A = T; A->span = build_span(b, A->span); }
bare_type(A) ::= path(N). { A = build_named_type(b, N); }
bare_type(A) ::= path(N) LP INTEGER(P) RP. {
    A = build_named_type(b, N);
    build_type_args(b, A, P, NULL);
}
bare_type(A) ::= path(N) LP INTEGER(P) COMMA INTEGER(S) RP. {
    A = build_named_type(b, N);
    build_type_args(b, A, P, &S);
}
bare_type(A) ::= path(N) LP string(C) COMMA string(S) RP. {
    A = build_named_type(b, N);
    if (A->kind != SQL_TYPE_RAW) {
        build_fail(b, SABOT_ERR_SQL, A->span, "only RAW('class', 'serializer') takes strings");
    }
    A->raw_class = C;
    A->raw_serializer = S;
    A->span = build_span(b, A->span);
}
bare_type(A) ::= NULL(T). { A = build_type(b, SQL_TYPE_NULL, T.span); }
bare_type(A) ::= bare_type(T) WITHOUT_TIME_ZONE. { A = build_zone_type(b, T, SQL_TYPE_TIMESTAMP); }
bare_type(A) ::= bare_type(T) WITH_TIME_ZONE. { A = build_zone_type(b, T, SQL_TYPE_TIMESTAMP_TZ); }
bare_type(A) ::= bare_type(T) WITH_LOCAL_TIME_ZONE. { A = build_zone_type(b, T, SQL_TYPE_TIMESTAMP_LTZ); }
bare_type(A) ::= INTERVAL_TYPE(I) qualifier(Q). {
    A = build_type(b, SQL_TYPE_INTERVAL, I.span);
    A->unit_from = Q.from;
    A->unit_to = Q.to;
    A->has_precision = Q.has_precision;
    A->precision = Q.precision;
    A->has_scale = Q.has_scale;
    A->scale = Q.scale;
}
bare_type(A) ::= ARRAY_LT(T) LT type(E) GT. { A = build_collection(b, SQL_TYPE_ARRAY, T.span, NULL, E); }
bare_type(A) ::= MULTISET_LT(T) LT type(E) GT. { A = build_collection(b, SQL_TYPE_MULTISET, T.span, NULL, E); }
bare_type(A) ::= MAP_LT(T) LT type(K) COMMA type(V) GT. { A = build_collection(b, SQL_TYPE_MAP, T.span, K, V); }
bare_type(A) ::= bare_type(E) ARRAY_WORD. { A = build_collection(b, SQL_TYPE_ARRAY, E->span, NULL, E); }
bare_type(A) ::= bare_type(E) MULTISET_WORD. { A = build_collection(b, SQL_TYPE_MULTISET, E->span, NULL, E); }
bare_type(A) ::= ROW_LT(T) NE. { A = build_row_type(b, T.span, (struct sql_fields){0}); }
bare_type(A) ::= ROW_LT(T) LT fields(F) GT. { A = build_row_type(b, T.span, F); }
bare_type(A) ::= ROW(T) LP fields(F) RP. { A = build_row_type(b, T.span, F); }
fields(A) ::= field(F). { A = build_fields(b, (struct sql_fields){0}, F); }
fields(A) ::= fields(L) COMMA field(F). { A = build_fields(b, L, F); }
field(A) ::= ID(N) type(T). { A = (struct sql_field){build_name(b, N), T, NULL}; }
field(A) ::= ID(N) type(T) string(C). { A = (struct sql_field){build_name(b, N), T, C}; }
field(A) ::= ID(N) type(T) COMMENT string(C). { A = (struct sql_field){build_name(b, N), T, C}; }

/* ---- intervals -------------------------------------------------------------------------------------------------- */

%type qualifier {struct build_qualifier}
%type unit_field {struct build_qualifier}
qualifier(A) ::= unit_field(F). [WITHOUT_MORE] { A = F; }
qualifier(A) ::= unit_field(F) TO unit_field(T). {
    A = F;
    A.to = T.from;
    A.has_scale = T.has_precision;
    A.scale = T.precision;
}
unit_field(A) ::= ID(U). { A = (struct build_qualifier){.from = build_unit(b, U)}; }
unit_field(A) ::= ID(U) LP INTEGER(P) RP. {
    A = (struct build_qualifier){.from = build_unit(b, U), .has_precision = true, .precision = build_uint(b, P)};
}
unit_field(A) ::= ID(U) LP INTEGER(P) COMMA INTEGER(S) RP. {
    A = (struct build_qualifier){.from = build_unit(b, U), .has_precision = true, .precision = build_uint(b, P)};
    A.has_scale = true;
    A.scale = build_uint(b, S);
}

/* ---- expressions ------------------------------------------------------------------------------------------------ */

%type expr {struct sql_expr *}
%type primary {struct sql_expr *}
%type literal {struct sql_expr *}
%type call {struct sql_expr *}
%type call_head {struct sql_expr *}
%type exprs {struct sql_exprs}
exprs(A) ::= expr(E). { A = build_exprs(b, NO_EXPRS, E); }
exprs(A) ::= exprs(L) COMMA expr(E). { A = build_exprs(b, L, E); }

expr(A) ::= path(P). { A = build_column_ref(b, P); }
expr(A) ::= primary(E). { A = E; }
expr(A) ::= literal(E). { A = E; }

literal(A) ::= NULL(T). { A = build_expr(b, SQL_EXPR_NULL, T.span); }
literal(A) ::= TRUE(T). { A = build_expr(b, SQL_EXPR_BOOL, T.span); A->boolean = true; }
literal(A) ::= FALSE(T). { A = build_expr(b, SQL_EXPR_BOOL, T.span); }
literal(A) ::= INTEGER(T). { A = build_literal(b, SQL_EXPR_INTEGER, T.span, T); }
literal(A) ::= DECIMAL(T). { A = build_literal(b, SQL_EXPR_DECIMAL, T.span, T); }
literal(A) ::= DOUBLE(T). { A = build_literal(b, SQL_EXPR_DOUBLE, T.span, T); }
literal(A) ::= STRING(T). { A = build_literal(b, SQL_EXPR_STRING, T.span, T); }
literal(A) ::= UNICODE_STRING(T). { A = build_literal(b, SQL_EXPR_STRING, T.span, T); }
literal(A) ::= BYTES(T). { A = build_literal(b, SQL_EXPR_BYTES, T.span, T); }
literal(A) ::= DATE(D) STRING(T). { A = build_literal(b, SQL_EXPR_DATE, D.span, T); }
literal(A) ::= TIME(D) STRING(T). { A = build_literal(b, SQL_EXPR_TIME, D.span, T); }
literal(A) ::= TIMESTAMP(D) STRING(T). { A = build_literal(b, SQL_EXPR_TIMESTAMP, D.span, T); }
literal(A) ::= INTERVAL(I) STRING(T) qualifier(Q). { A = build_interval(b, I, false, T, Q); }
literal(A) ::= INTERVAL(I) PLUS STRING(T) qualifier(Q). { A = build_interval(b, I, false, T, Q); }
literal(A) ::= INTERVAL(I) MINUS STRING(T) qualifier(Q). { A = build_interval(b, I, true, T, Q); }

primary(A) ::= call(E). { A = E; }
primary(A) ::= LP(T) expr(E) RP. { A = E; A->in_parens = true; A->span = build_span(b, T.span); }
primary(A) ::= LP(T) expr(E) COMMA exprs(L) RP. {
    struct sql_exprs list = build_exprs(b, NO_EXPRS, E);
    for (unsigned i = 0; i < L.count; i++) { list = build_exprs(b, list, L.items[i]); }
    A = build_list_expr(b, SQL_EXPR_ROW, T.span, list);
}
primary(A) ::= LP(T) query(Q) RP. [AT_LOCAL] { A = build_query_expr(b, SQL_EXPR_SUBQUERY, T.span, Q); }
primary(A) ::= EXISTS(T) LP query(Q) RP. { A = build_query_expr(b, SQL_EXPR_EXISTS, T.span, Q); }
primary(A) ::= ROW(T) LP RP. { A = build_list_expr(b, SQL_EXPR_ROW, T.span, NO_EXPRS); }
primary(A) ::= ROW(T) LP exprs(L) RP. { A = build_list_expr(b, SQL_EXPR_ROW, T.span, L); }
primary(A) ::= ARRAY(T) LBRACKET RBRACKET. { A = build_list_expr(b, SQL_EXPR_ARRAY, T.span, NO_EXPRS); }
primary(A) ::= ARRAY(T) LBRACKET exprs(L) RBRACKET. { A = build_list_expr(b, SQL_EXPR_ARRAY, T.span, L); }
primary(A) ::= ARRAY_QUERY(T) query(Q) RP. { A = build_query_expr(b, SQL_EXPR_ARRAY_QUERY, T.span, Q); }
primary(A) ::= MAP(T) LBRACKET RBRACKET. { A = build_list_expr(b, SQL_EXPR_MAP, T.span, NO_EXPRS); }
primary(A) ::= MAP(T) LBRACKET exprs(L) RBRACKET. { A = build_list_expr(b, SQL_EXPR_MAP, T.span, L); }
primary(A) ::= CAST(T) LP expr(E) AS type(Y) RP. { A = build_cast(b, T, E, Y, false); }
primary(A) ::= TRY_CAST(T) LP expr(E) AS type(Y) RP. { A = build_cast(b, T, E, Y, true); }
primary(A) ::= CASE(T) whens(W) else_opt(E) END. { A = build_case(b, T, NULL, W, E); }
primary(A) ::= CASE(T) expr(X) whens(W) else_opt(E) END. { A = build_case(b, T, X, W, E); }
primary(A) ::= path(P) LBRACKET expr(I) RBRACKET. {
    A = build_binary(b, SQL_OP_ADD, build_column_ref(b, P), I);
    A->kind = SQL_EXPR_INDEX;
}
primary(A) ::= primary(P) LBRACKET expr(I) RBRACKET. {
    A = build_binary(b, SQL_OP_ADD, P, I);
    A->kind = SQL_EXPR_INDEX;
}
primary(A) ::= primary(P) DOT ID(N). { A = build_field_of(b, P, N); }

%type whens {struct sql_whens}
%type when {struct sql_when}
%type else_opt {struct sql_expr *}
whens(A) ::= when(W). { A = build_whens(b, (struct sql_whens){0}, W); }
whens(A) ::= whens(L) when(W). { A = build_whens(b, L, W); }
when(A) ::= WHEN expr(C) THEN expr(R). { A = (struct sql_when){C, R}; }
else_opt(A) ::= . { A = NULL; }
else_opt(A) ::= ELSE expr(E). { A = E; }

expr(A) ::= PLUS(T) expr(E). [UNARY] { A = build_unary(b, SQL_OP_PLUS, T, E); }
expr(A) ::= MINUS(T) expr(E). [UNARY] { A = build_unary(b, SQL_OP_MINUS, T, E); }
expr(A) ::= NOT(T) expr(E). { A = build_unary(b, SQL_OP_NOT, T, E); }
expr(A) ::= expr(L) PLUS expr(R). { A = build_binary(b, SQL_OP_ADD, L, R); }
expr(A) ::= expr(L) MINUS expr(R). { A = build_binary(b, SQL_OP_SUB, L, R); }
expr(A) ::= expr(L) STAR expr(R). { A = build_binary(b, SQL_OP_MUL, L, R); }
expr(A) ::= expr(L) SLASH expr(R). { A = build_binary(b, SQL_OP_DIV, L, R); }
expr(A) ::= expr(L) PERCENT expr(R). { A = build_binary(b, SQL_OP_MOD, L, R); }
expr(A) ::= expr(L) CONCAT expr(R). { A = build_binary(b, SQL_OP_CONCAT, L, R); }
expr(A) ::= expr(L) EQ expr(R). { A = build_binary(b, SQL_OP_EQ, L, R); }
expr(A) ::= expr(L) NE expr(R). { A = build_binary(b, SQL_OP_NE, L, R); }
expr(A) ::= expr(L) LT expr(R). { A = build_binary(b, SQL_OP_LT, L, R); }
expr(A) ::= expr(L) LE expr(R). { A = build_binary(b, SQL_OP_LE, L, R); }
expr(A) ::= expr(L) GT expr(R). { A = build_binary(b, SQL_OP_GT, L, R); }
expr(A) ::= expr(L) GE expr(R). { A = build_binary(b, SQL_OP_GE, L, R); }
expr(A) ::= expr(L) OVERLAPS expr(R). { A = build_binary(b, SQL_OP_OVERLAPS, L, R); }
expr(A) ::= expr(L) IS_DISTINCT expr(R). { A = build_binary(b, SQL_OP_DISTINCT, L, R); }
expr(A) ::= expr(L) IS_NOT_DISTINCT expr(R). { A = build_binary(b, SQL_OP_NOT_DISTINCT, L, R); }
expr(A) ::= expr(L) AND expr(R). { A = build_logic(b, SQL_OP_AND, L, R); }
expr(A) ::= expr(L) OR expr(R). { A = build_logic(b, SQL_OP_OR, L, R); }
expr(A) ::= expr(L) EQ quantifier(T) LP query(Q) RP. { A = build_quantified(b, L, SQL_OP_EQ, T, Q); }
expr(A) ::= expr(L) NE quantifier(T) LP query(Q) RP. { A = build_quantified(b, L, SQL_OP_NE, T, Q); }
expr(A) ::= expr(L) LT quantifier(T) LP query(Q) RP. { A = build_quantified(b, L, SQL_OP_LT, T, Q); }
expr(A) ::= expr(L) LE quantifier(T) LP query(Q) RP. { A = build_quantified(b, L, SQL_OP_LE, T, Q); }
expr(A) ::= expr(L) GT quantifier(T) LP query(Q) RP. { A = build_quantified(b, L, SQL_OP_GT, T, Q); }
expr(A) ::= expr(L) GE quantifier(T) LP query(Q) RP. { A = build_quantified(b, L, SQL_OP_GE, T, Q); }
quantifier(A) ::= ANY(T). { A = T; }
quantifier(A) ::= ALL(T). { A = T; }
expr(A) ::= expr(E) IS NULL. { A = build_is(b, E, SQL_IS_NULL, false); }
expr(A) ::= expr(E) IS NOT NULL. [IS] { A = build_is(b, E, SQL_IS_NULL, true); }
expr(A) ::= expr(E) IS TRUE. { A = build_is(b, E, SQL_IS_TRUE, false); }
expr(A) ::= expr(E) IS NOT TRUE. [IS] { A = build_is(b, E, SQL_IS_TRUE, true); }
expr(A) ::= expr(E) IS FALSE. { A = build_is(b, E, SQL_IS_FALSE, false); }
expr(A) ::= expr(E) IS NOT FALSE. [IS] { A = build_is(b, E, SQL_IS_FALSE, true); }
expr(A) ::= expr(E) IS_UNKNOWN. { A = build_is(b, E, SQL_IS_UNKNOWN, false); }
expr(A) ::= expr(E) IS_NOT_UNKNOWN. { A = build_is(b, E, SQL_IS_UNKNOWN, true); }
expr(A) ::= expr(E) IS_JSON(T). { A = build_is_json(b, E, T); }
expr(A) ::= expr(L) AT_TIME_ZONE expr(R). { A = build_named_call(b, "AT_TIME_ZONE", L->span, L, R); }
expr(A) ::= expr(L) AT_LOCAL. { A = build_named_call(b, "AT_LOCAL", L->span, L, NULL); }

like_op(A) ::= LIKE(T). { A = T; }
like_op(A) ::= NOT_LIKE(T). { A = T; }
like_op(A) ::= SIMILAR(T). { A = T; }
like_op(A) ::= NOT_SIMILAR(T). { A = T; }
expr(A) ::= expr(L) like_op(O) expr(R). [LIKE] { A = build_like(b, L, O, R, NULL); }
expr(A) ::= expr(L) like_op(O) expr(R) ESCAPE expr(E). [LIKE] { A = build_like(b, L, O, R, E); }
between_op(A) ::= BETWEEN(T). { A = T; }
between_op(A) ::= NOT_BETWEEN(T). { A = T; }
between_op(A) ::= BETWEEN_SYMMETRIC(T). { A = T; }
between_op(A) ::= NOT_BETWEEN_SYMMETRIC(T). { A = T; }
expr(A) ::= expr(E) between_op(O) expr(L) AND expr(H). [BETWEEN] { A = build_between(b, E, O, L, H); }
in_op(A) ::= IN(T). { A = T; }
in_op(A) ::= NOT_IN(T). { A = T; }
expr(A) ::= expr(E) in_op(O) LP exprs(L) RP. [IN] { A = build_in_list(b, E, O, L); }
expr(A) ::= expr(E) in_op(O) LP query(Q) RP. [IN] { A = build_in_query(b, E, O, Q); }

/* ---- calls ------------------------------------------------------------------------------------------------------ */

%type args {struct sql_exprs}
%type args_opt {struct sql_exprs}
%type arg {struct sql_expr *}
%type json_pairs {struct sql_exprs}
%type json {struct sql_json *}
%type json_clause {struct sql_json}
%type json_what {struct sql_json}
args(A) ::= arg(E). { A = build_exprs(b, NO_EXPRS, E); }
args(A) ::= args(L) COMMA arg(E). { A = build_exprs(b, L, E); }
args_opt(A) ::= . { A = NO_EXPRS; }
args_opt(A) ::= args(L). { A = L; }
args_opt(A) ::= STAR(T). { A = build_exprs(b, NO_EXPRS, build_expr(b, SQL_EXPR_STAR, T.span)); }
args_opt(A) ::= path(P) DOT STAR. {
    struct sql_expr *star = build_expr(b, SQL_EXPR_STAR, build_path_span(&P));
    star->path = P;
    A = build_exprs(b, NO_EXPRS, star);
}
arg(A) ::= expr(E). { A = E; }
arg(A) ::= table_arg(E). { A = E; }
arg(A) ::= DESCRIPTOR(T) LP ids(P) RP. { A = build_expr(b, SQL_EXPR_DESCRIPTOR, T.span); A->path = P; }
arg(A) ::= DEFAULT(T). { A = build_expr(b, SQL_EXPR_DEFAULT, T.span); }
arg(A) ::= ID(N) ARROW expr(E). { A = build_named_arg(b, N, E); }
arg(A) ::= ID(N) ARROW table_arg(E). { A = build_named_arg(b, N, E); }
arg(A) ::= ID(N) ARROW DEFAULT(T). { A = build_named_arg(b, N, build_expr(b, SQL_EXPR_DEFAULT, T.span)); }
arg(A) ::= ID(N) ARROW DESCRIPTOR(T) LP ids(P) RP. {
    struct sql_expr *value = build_expr(b, SQL_EXPR_DESCRIPTOR, T.span);
    value->path = P;
    A = build_named_arg(b, N, value);
}

%type table_arg {struct sql_expr *}
%type arg_partition {struct sql_expr *}
%type arg_order {struct sql_orders}
table_arg(A) ::= TABLE(T) path(P) arg_partition(B) arg_order(O). {
    struct sql_table *table = build_table(b, SQL_TABLE_NAME, build_path_span(&P));
    table->span = build_path_span(&P);
    table->name = P;
    A = build_table_arg(b, T, table, B, O);
}
table_arg(A) ::= TABLE(T) LP query(Q) RP arg_partition(B) arg_order(O). {
    struct sql_table *table = build_table(b, SQL_TABLE_QUERY, Q->span);
    table->span = Q->span;
    table->query = Q;
    build_table_height(b, table, Q->height);
    A = build_table_arg(b, T, table, B, O);
}
/* One expression, since a comma starts the next argument; several go in parentheses. */
arg_partition(A) ::= . { A = NULL; }
arg_partition(A) ::= PARTITION_BY expr(E). { A = E; }
arg_order(A) ::= . [WITHOUT_MORE] { A = (struct sql_orders){0}; }
arg_order(A) ::= ORDER BY order(O). { A = build_orders(b, (struct sql_orders){0}, O); }

call_head(A) ::= path(P) LP args_opt(L) RP. { A = build_call(b, P, L); }
call_head(A) ::= path(P) LP DISTINCT args(L) RP. { A = build_call(b, P, L); A->call.distinct = true; }
call_head(A) ::= path(P) LP ALL args(L) RP. { A = build_call(b, P, L); }
call_head(A) ::= path(P) LP args(L) ORDER BY orders(O) RP. {
    A = build_call(b, P, L);
    A->call.order_by = O;
    build_call_height(b, A);
}
call_head(A) ::= path(P) LP DISTINCT args(L) ORDER BY orders(O) RP. {
    A = build_call(b, P, L);
    A->call.distinct = true;
    A->call.order_by = O;
    build_call_height(b, A);
}
call_head(A) ::= path(P) LP expr(X) FROM expr(Y) RP. { A = build_from_call(b, P, NULL, X, Y, NULL); }
call_head(A) ::= path(P) LP expr(X) FROM expr(Y) FOR expr(Z) RP. { A = build_from_call(b, P, NULL, X, Y, Z); }
call_head(A) ::= path(P) LP expr(X) PLACING expr(Y) FROM expr(Z) RP. {
    struct sql_exprs args = build_exprs(b, build_exprs(b, build_exprs(b, NO_EXPRS, X), Y), Z);
    A = build_call(b, P, args);
}
call_head(A) ::= path(P) LP expr(X) PLACING expr(Y) FROM expr(Z) FOR expr(W) RP. {
    struct sql_exprs args = build_exprs(b, build_exprs(b, build_exprs(b, NO_EXPRS, X), Y), Z);
    A = build_call(b, P, build_exprs(b, args, W));
}
call_head(A) ::= path(P) LP TRIM_WHERE(W) expr(X) FROM expr(Y) RP. {
    A = build_from_call(b, P, build_symbol(b, W, SQL_UNIT_NONE), X, Y, NULL);
}
call_head(A) ::= path(P) LP TRIM_WHERE(W) FROM expr(Y) RP. {
    A = build_call(b, P, build_exprs(b, build_exprs(b, NO_EXPRS, build_symbol(b, W, SQL_UNIT_NONE)), Y));
}
call_head(A) ::= path(P) LP expr(X) POSITION_IN expr(Y) RP. {
    A = build_call(b, P, build_exprs(b, build_exprs(b, NO_EXPRS, X), Y));
}
call_head(A) ::= path(P) LP expr(X) TO ID(U) RP. {
    A = build_call(b, P, build_exprs(b, build_exprs(b, NO_EXPRS, X), build_symbol(b, U, build_unit(b, U))));
}
call_head(A) ::= path(P) LP args(L) json(J) RP. {
    A = build_call(b, P, L);
    A->call.json = J;
    build_call_height(b, A);
}
call_head(A) ::= path(P) LP json(J) RP. {
    A = build_call(b, P, NO_EXPRS);
    A->call.json = J;
    build_call_height(b, A);
}
call_head(A) ::= path(P) LP json_pairs(L) RP. { A = build_call(b, P, L); }
call_head(A) ::= path(P) LP json_pairs(L) json(J) RP. {
    A = build_call(b, P, L);
    A->call.json = J;
    build_call_height(b, A);
}
json_pairs(A) ::= json_pair(P). { A = P; }
json_pairs(A) ::= json_pairs(L) COMMA json_pair(P). {
    A = build_exprs(b, build_exprs(b, L, P.items[0]), P.items[1]);
}
%type json_pair {struct sql_exprs}
json_pair(A) ::= JSON_KEY expr(K) JSON_VALUE_WORD expr(V). { A = build_exprs(b, build_exprs(b, NO_EXPRS, K), V); }
json_pair(A) ::= expr(K) JSON_VALUE_WORD expr(V). { A = build_exprs(b, build_exprs(b, NO_EXPRS, K), V); }

json(A) ::= json_clause(C). { A = build_json_merge(b, NULL, C); }
json(A) ::= json(J) json_clause(C). { A = build_json_merge(b, J, C); }
json_clause(A) ::= RETURNING type(T). { A = (struct sql_json){.returning = T}; }
json_clause(A) ::= NULL_ON_NULL. { A = (struct sql_json){.nulls = SQL_JSON_NULL_ON_NULL}; }
json_clause(A) ::= ABSENT_ON_NULL. { A = (struct sql_json){.nulls = SQL_JSON_ABSENT_ON_NULL}; }
json_clause(A) ::= WITHOUT_WRAPPER. { A = (struct sql_json){.wrapper = SQL_JSON_WITHOUT_WRAPPER}; }
json_clause(A) ::= WITH_WRAPPER. { A = (struct sql_json){.wrapper = SQL_JSON_WITH_WRAPPER}; }
json_clause(A) ::= WITH_CONDITIONAL_WRAPPER. {
    A = (struct sql_json){.wrapper = SQL_JSON_WITH_CONDITIONAL_WRAPPER};
}
json_clause(A) ::= json_what(W) ID(T). {
    A = W;
    if (build_word_is(&T, "EMPTY")) {
        A.on_empty = W.on_error;
        A.on_error = SQL_JSON_UNSET;
    } else if (!build_word_is(&T, "ERROR")) {
        build_fail(b, SABOT_ERR_SQL, T.span, "ON EMPTY or ON ERROR is meant here");
    }
}
json_clause(A) ::= DEFAULT expr(E) ON_EMPTY. {
    A = (struct sql_json){.on_empty = SQL_JSON_DEFAULT, .default_on_empty = E};
}
json_clause(A) ::= DEFAULT expr(E) ON_ERROR. {
    A = (struct sql_json){.on_error = SQL_JSON_DEFAULT, .default_on_error = E};
}
json_what(A) ::= JSON_NULL_ON. { A = (struct sql_json){.on_error = SQL_JSON_NULL}; }
json_what(A) ::= JSON_ERROR_ON. { A = (struct sql_json){.on_error = SQL_JSON_ERROR}; }
json_what(A) ::= JSON_TRUE_ON. { A = (struct sql_json){.on_error = SQL_JSON_TRUE}; }
json_what(A) ::= JSON_FALSE_ON. { A = (struct sql_json){.on_error = SQL_JSON_FALSE}; }
json_what(A) ::= JSON_UNKNOWN_ON. { A = (struct sql_json){.on_error = SQL_JSON_UNKNOWN}; }
json_what(A) ::= JSON_EMPTY_ARRAY. { A = (struct sql_json){.on_error = SQL_JSON_EMPTY_ARRAY}; }
json_what(A) ::= JSON_EMPTY_OBJECT. { A = (struct sql_json){.on_error = SQL_JSON_EMPTY_OBJECT}; }

call(A) ::= call_head(E). { A = E; }
call(A) ::= call(E) WITHIN_GROUP LP ORDER BY orders(O) RP. {
    A = E;
    A->call.order_by = O;
    build_call_height(b, A);
}
call(A) ::= call(E) FILTER WHERE expr(C) RP. {
    A = E;
    A->call.filter = C;
    build_call_height(b, A);
}
call(A) ::= call(E) IGNORE_NULLS. { A = E; A->call.ignore_nulls = true; A->span = build_span(b, A->span); }
call(A) ::= call(E) RESPECT_NULLS. { A = E; A->call.respect_nulls = true; A->span = build_span(b, A->span); }
call(A) ::= call(E) OVER window(W). {
    A = E;
    A->call.over = W;
    build_call_height(b, A);
}
call(A) ::= call(E) OVER ID(N). {
    A = E;
    A->call.over = build_window(b, N.span);
    A->call.over->base = build_name(b, N);
    A->call.over->only_name = true;
    build_call_height(b, A);
}

%type window {struct sql_window *}
%type window_base {struct sql_name}
%type window_partition {struct sql_exprs}
%type window_order {struct sql_orders}
%type window_frame {struct sql_window}
%type bound {struct sql_bound}
window(A) ::= LP(T) window_base(N) window_partition(P) window_order(O) window_frame(F) RP. {
    A = build_window(b, T.span);
    A->base = N;
    A->partition_by = P;
    A->order_by = O;
    A->has_frame = F.has_frame;
    A->frame_is_rows = F.frame_is_rows;
    A->start = F.start;
    A->end = F.end;
}
window_base(A) ::= . { A = (struct sql_name){0}; }
window_base(A) ::= ID(N). { A = build_name(b, N); }
window_partition(A) ::= . { A = NO_EXPRS; }
window_partition(A) ::= PARTITION_BY exprs(L). { A = L; }
window_order(A) ::= . { A = (struct sql_orders){0}; }
window_order(A) ::= ORDER BY orders(L). { A = L; }
window_frame(A) ::= . { A = (struct sql_window){0}; }
window_frame(A) ::= frame_unit(U) bound(S). {
    A = (struct sql_window){.has_frame = true, .frame_is_rows = U.kind == TK_ROWS, .start = S};
    A.end.kind = SQL_BOUND_CURRENT_ROW;
}
window_frame(A) ::= frame_unit(U) BETWEEN bound(S) AND bound(E). {
    A = (struct sql_window){.has_frame = true, .frame_is_rows = U.kind == TK_ROWS, .start = S, .end = E};
}
frame_unit(A) ::= ROWS(T). { A = T; }
frame_unit(A) ::= RANGE(T). { A = T; }
bound(A) ::= UNBOUNDED_PRECEDING. { A = (struct sql_bound){SQL_BOUND_UNBOUNDED_PRECEDING, NULL}; }
bound(A) ::= UNBOUNDED_FOLLOWING. { A = (struct sql_bound){SQL_BOUND_UNBOUNDED_FOLLOWING, NULL}; }
bound(A) ::= CURRENT_ROW. { A = (struct sql_bound){SQL_BOUND_CURRENT_ROW, NULL}; }
bound(A) ::= expr(E) PRECEDING. { A = (struct sql_bound){SQL_BOUND_PRECEDING, E}; }
bound(A) ::= expr(E) FOLLOWING. { A = (struct sql_bound){SQL_BOUND_FOLLOWING, E}; }

%type orders {struct sql_orders}
%type order {struct sql_order}
orders(A) ::= order(O). { A = build_orders(b, (struct sql_orders){0}, O); }
orders(A) ::= orders(L) COMMA order(O). { A = build_orders(b, L, O); }
order(A) ::= expr(E) direction(D) nulls(N). {
    A = (struct sql_order){.expr = E, .descending = D};
    A.nulls = N == 0 ? SQL_NULLS_DEFAULT : N == 1 ? SQL_NULLS_FIRST : SQL_NULLS_LAST;
}
%type direction {bool}
%type nulls {int}
direction(A) ::= . { A = false; }
direction(A) ::= ASC. { A = false; }
direction(A) ::= DESC. { A = true; }
nulls(A) ::= . { A = 0; }
nulls(A) ::= NULLS_FIRST. { A = 1; }
nulls(A) ::= NULLS_LAST. { A = 2; }

/* ---- queries ---------------------------------------------------------------------------------------------------- */

%type query {struct sql_query *}
%type query_plain {struct sql_query *}
%type query_body {struct sql_query *}
%type query_term {struct sql_query *}
%type query_primary {struct sql_query *}
%type ctes {struct sql_ctes}
%type cte {struct sql_cte}
%type order_opt {struct sql_orders}
query(A) ::= query_plain(Q). { A = Q; }
query(A) ::= WITH(T) ctes(L) query_plain(Q). {
    A = Q->with.count > 0 ? build_query_clauses(b, Q, (struct sql_orders){0}, NULL, NULL) : Q;
    A->with = L;
    A->span = build_span(b, T.span);
    build_select_height(b, A);
}
query(A) ::= WITH(T) RECURSIVE ctes(L) query_plain(Q). {
    A = Q;
    A->with = L;
    A->recursive = true;
    A->span = build_span(b, T.span);
    build_select_height(b, A);
}
ctes(A) ::= cte(C). { A = build_ctes(b, (struct sql_ctes){0}, C); }
ctes(A) ::= ctes(L) COMMA cte(C). { A = build_ctes(b, L, C); }
cte(A) ::= ID(N) column_list_opt(C) AS LP query(Q) RP. { A = (struct sql_cte){build_name(b, N), C, Q}; }

query_plain(A) ::= query_body(Q) order_opt(O) limits(L). {
    A = build_query_clauses(b, Q, O, L.start.offset, L.end.offset);
}
order_opt(A) ::= . { A = (struct sql_orders){0}; }
order_opt(A) ::= ORDER BY orders(L). { A = L; }
/* LIMIT as the start's, OFFSET as the end's expression; OFFSET before LIMIT is accepted too. */
%type limits {struct sql_window}
%type offset {struct sql_expr *}
%type fetch {struct sql_expr *}
limits(A) ::= . { A = (struct sql_window){0}; }
limits(A) ::= LIMIT expr(E). { A = (struct sql_window){.start.offset = E}; }
limits(A) ::= LIMIT ALL. { A = (struct sql_window){0}; }
limits(A) ::= LIMIT expr(E) offset(S). { A = (struct sql_window){.start.offset = E, .end.offset = S}; }
limits(A) ::= LIMIT ALL offset(S). { A = (struct sql_window){.end.offset = S}; }
limits(A) ::= offset(S). { A = (struct sql_window){.end.offset = S}; }
limits(A) ::= offset(S) LIMIT expr(E). { A = (struct sql_window){.start.offset = E, .end.offset = S}; }
limits(A) ::= offset(S) fetch(E). { A = (struct sql_window){.start.offset = E, .end.offset = S}; }
limits(A) ::= fetch(E). { A = (struct sql_window){.start.offset = E}; }
offset(A) ::= OFFSET INTEGER(N). { A = build_literal(b, SQL_EXPR_INTEGER, N.span, N); }
offset(A) ::= OFFSET INTEGER(N) ID(R). {
    if (!build_word_is(&R, "ROW") && !build_word_is(&R, "ROWS")) {
        build_fail(b, SABOT_ERR_SQL, R.span, "OFFSET n ROWS is meant here");
    }
    A = build_literal(b, SQL_EXPR_INTEGER, N.span, N);
}
fetch(A) ::= FETCH INTEGER(N) ROWS_ONLY. { A = build_literal(b, SQL_EXPR_INTEGER, N.span, N); }
fetch(A) ::= FETCH(T) ROWS_ONLY. {
    A = build_expr(b, SQL_EXPR_INTEGER, T.span);
    A->text = "1";
    A->text_size = 1;
}

query_body(A) ::= query_term(Q). { A = Q; }
query_body(A) ::= query_body(L) UNION set_all(M) query_term(R). { A = build_set_query(b, SQL_SET_UNION, M, L, R); }
query_body(A) ::= query_body(L) EXCEPT set_all(M) query_term(R). { A = build_set_query(b, SQL_SET_EXCEPT, M, L, R); }
query_term(A) ::= query_primary(Q). { A = Q; }
query_term(A) ::= query_term(L) INTERSECT set_all(M) query_primary(R). {
    A = build_set_query(b, SQL_SET_INTERSECT, M, L, R);
}
%type set_all {bool}
set_all(A) ::= . { A = false; }
set_all(A) ::= ALL. { A = true; }
set_all(A) ::= DISTINCT. { A = false; }

query_primary(A) ::= LP(T) query(Q) RP. [WITHOUT_MORE] { A = Q; A->in_parens = true; A->span = build_span(b, T.span); }
query_primary(A) ::= VALUES(T) exprs(L). {
    A = build_query(b, SQL_QUERY_VALUES, T.span);
    A->rows = build_rows(b, L);
    build_select_height(b, A);
}
query_primary(A) ::= TABLE(T) path(P). {
    A = build_query(b, SQL_QUERY_TABLE, T.span);
    A->table = build_table(b, SQL_TABLE_NAME, build_path_span(&P));
    A->table->name = P;
    build_select_height(b, A);
}
query_primary(A) ::= SELECT(T) hints(H) distinct(D) items(I) from_opt(F) where_opt(W) group_opt(G) having_opt(V)
    windows_opt(N) qualify_opt(Q). {
    A = build_query(b, SQL_QUERY_SELECT, T.span);
    A->select.hints = H;
    A->select.distinct = D;
    A->select.items = I;
    A->select.from = F;
    A->select.where = W;
    A->select.has_group_by = G.count > 0;
    A->select.group_by = G;
    A->select.having = V;
    A->select.windows = N;
    A->select.qualify = Q;
    build_select_height(b, A);
}
%type distinct {bool}
distinct(A) ::= . { A = false; }
distinct(A) ::= DISTINCT. { A = true; }
distinct(A) ::= ALL. { A = false; }

%type items {struct sql_items}
%type item {struct sql_item}
%type from_opt {struct sql_table *}
%type where_opt {struct sql_expr *}
%type having_opt {struct sql_expr *}
%type qualify_opt {struct sql_expr *}
%type group_opt {struct sql_groups}
%type groups {struct sql_groups}
%type group {struct sql_group}
%type windows_opt {struct sql_named_windows}
%type windows {struct sql_named_windows}
%type named_window {struct sql_named_window}
items(A) ::= item(I). { A = build_items(b, (struct sql_items){0}, I); }
items(A) ::= items(L) COMMA item(I). { A = build_items(b, L, I); }
item(A) ::= expr(E). { A = (struct sql_item){.expr = E}; }
item(A) ::= expr(E) ID(N). { A = (struct sql_item){E, build_name(b, N)}; }
item(A) ::= expr(E) AS ID(N). { A = (struct sql_item){E, build_name(b, N)}; }
item(A) ::= STAR(T). { A = (struct sql_item){.expr = build_expr(b, SQL_EXPR_STAR, T.span)}; }
item(A) ::= path(P) DOT STAR. {
    A = (struct sql_item){.expr = build_expr(b, SQL_EXPR_STAR, build_path_span(&P))};
    A.expr->path = P;
}
from_opt(A) ::= . { A = NULL; }
from_opt(A) ::= FROM tables(T). { A = T; }
where_opt(A) ::= . { A = NULL; }
where_opt(A) ::= WHERE expr(E). { A = E; }
having_opt(A) ::= . { A = NULL; }
having_opt(A) ::= HAVING expr(E). { A = E; }
qualify_opt(A) ::= . { A = NULL; }
qualify_opt(A) ::= QUALIFY expr(E). { A = E; }
group_opt(A) ::= . { A = (struct sql_groups){0}; }
group_opt(A) ::= GROUP BY groups(L). { A = L; }
groups(A) ::= group(G). { A = build_groups(b, (struct sql_groups){0}, G); }
groups(A) ::= groups(L) COMMA group(G). { A = build_groups(b, L, G); }
group(A) ::= expr(E). { A = (struct sql_group){.kind = SQL_GROUP_EXPR, .span = E->span, .expr = E}; }
group(A) ::= LP(T) RP. { A = (struct sql_group){.kind = SQL_GROUP_LIST, .span = build_span(b, T.span)}; }
group(A) ::= GROUPING_SETS(T) LP groups(L) RP. {
    A = (struct sql_group){.kind = SQL_GROUP_SETS, .span = build_span(b, T.span), .children = L};
}
group(A) ::= ROLLUP(T) LP groups(L) RP. {
    A = (struct sql_group){.kind = SQL_GROUP_ROLLUP, .span = build_span(b, T.span), .children = L};
}
group(A) ::= CUBE(T) LP groups(L) RP. {
    A = (struct sql_group){.kind = SQL_GROUP_CUBE, .span = build_span(b, T.span), .children = L};
}
windows_opt(A) ::= . { A = (struct sql_named_windows){0}; }
windows_opt(A) ::= WINDOW windows(L). { A = L; }
windows(A) ::= named_window(W). { A = build_windows(b, (struct sql_named_windows){0}, W); }
windows(A) ::= windows(L) COMMA named_window(W). { A = build_windows(b, L, W); }
named_window(A) ::= ID(N) AS window(W). { A = (struct sql_named_window){build_name(b, N), W}; }

/* ---- tables ----------------------------------------------------------------------------------------------------- */

%type tables {struct sql_table *}
%type joined {struct sql_table *}
%type join {struct sql_table *}
%type factor {struct sql_table *}
%type source {struct sql_table *}
%type as_of_opt {struct sql_expr *}
%type alias {struct sql_item}
%type match {struct sql_match *}
tables(A) ::= joined(T). { A = T; }
tables(A) ::= tables(L) COMMA joined(R). {
    A = build_join(b, SQL_JOIN_CROSS, L, R);
    A->join.comma = true;
}
joined(A) ::= factor(T). { A = T; }
joined(A) ::= join(T). { A = T; }
join(A) ::= joined(L) join_op(O) factor(R) ON expr(E). {
    A = build_join(b, (enum sql_join_kind)O, L, R);
    A->join.on = E;
    build_table_height(b, A, E->height);
}
join(A) ::= joined(L) join_op(O) factor(R) USING column_list(C). {
    A = build_join(b, (enum sql_join_kind)O, L, R);
    A->join.columns = C;
}
join(A) ::= joined(L) NATURAL join_op(O) factor(R). {
    A = build_join(b, (enum sql_join_kind)O, L, R);
    A->join.natural = true;
}
join(A) ::= joined(L) CROSS_JOIN factor(R). { A = build_join(b, SQL_JOIN_CROSS, L, R); }
%type join_op {int}
join_op(A) ::= JOIN. { A = SQL_JOIN_INNER; }
join_op(A) ::= LEFT_JOIN. { A = SQL_JOIN_LEFT; }
join_op(A) ::= RIGHT_JOIN. { A = SQL_JOIN_RIGHT; }
join_op(A) ::= FULL_JOIN. { A = SQL_JOIN_FULL; }

factor(A) ::= source(T) alias(N). {
    A = T;
    A->alias = N.alias;
    A->columns = N.expr ? N.expr->path : NO_PATH;
    A->span = build_span(b, A->span);
}
factor(A) ::= source(T) alias(N) MATCH_RECOGNIZE LP match(M) RP alias(X). {
    T->alias = N.alias;
    T->columns = N.expr ? N.expr->path : NO_PATH;
    A = build_table(b, SQL_TABLE_MATCH, T->span);
    A->match.input = T;
    A->match.spec = M;
    A->alias = X.alias;
    A->columns = X.expr ? X.expr->path : NO_PATH;
    build_table_height(b, A, T->height);
}
alias(A) ::= . { A = (struct sql_item){0}; }
alias(A) ::= ID(N). { A = (struct sql_item){.alias = build_name(b, N)}; }
alias(A) ::= AS ID(N). { A = (struct sql_item){.alias = build_name(b, N)}; }
alias(A) ::= ID(N) column_list(C). {
    A = (struct sql_item){build_expr(b, SQL_EXPR_DESCRIPTOR, N.span), build_name(b, N)};
    A.expr->path = C;
}
alias(A) ::= AS ID(N) column_list(C). {
    A = (struct sql_item){build_expr(b, SQL_EXPR_DESCRIPTOR, N.span), build_name(b, N)};
    A.expr->path = C;
}

source(A) ::= path(P) hints(H) as_of_opt(E). {
    A = build_table(b, SQL_TABLE_NAME, build_path_span(&P));
    A->name = P;
    A->hints = H;
    A->as_of = E;
    build_table_height(b, A, E ? E->height : 0);
}
source(A) ::= LP(T) query(Q) RP. {
    A = build_table(b, SQL_TABLE_QUERY, T.span);
    A->query = Q;
    build_table_height(b, A, Q->height);
}
source(A) ::= LATERAL(T) LP query(Q) RP. {
    A = build_table(b, SQL_TABLE_QUERY, T.span);
    A->query = Q;
    A->lateral = true;
    build_table_height(b, A, Q->height);
}
source(A) ::= LP(T) join(J) RP. { A = J; A->span = build_span(b, T.span); }
source(A) ::= TABLE(T) LP call(E) RP hints(H). {
    A = build_table(b, SQL_TABLE_FUNCTION, T.span);
    A->function = E;
    A->hints = H;
    build_table_height(b, A, E->height);
}
source(A) ::= LATERAL(T) TABLE LP call(E) RP. {
    A = build_table(b, SQL_TABLE_FUNCTION, T.span);
    A->function = E;
    A->lateral = true;
    build_table_height(b, A, E->height);
}
source(A) ::= LATERAL(T) call(E). {
    A = build_table(b, SQL_TABLE_FUNCTION, T.span);
    A->function = E;
    A->lateral = true;
    build_table_height(b, A, E->height);
}
source(A) ::= call(E). {
    A = build_table(b, SQL_TABLE_FUNCTION, E->span);
    A->function = E;
    build_table_height(b, A, E->height);
}
source(A) ::= UNNEST(T) LP exprs(L) RP ordinality(O). {
    A = build_table(b, SQL_TABLE_UNNEST, T.span);
    A->unnest.exprs = L;
    A->unnest.with_ordinality = O;
    for (unsigned i = 0; i < L.count; i++) { build_table_height(b, A, L.items[i]->height); }
}
%type ordinality {bool}
ordinality(A) ::= . { A = false; }
ordinality(A) ::= WITH_ORDINALITY. { A = true; }
as_of_opt(A) ::= . { A = NULL; }
as_of_opt(A) ::= FOR_SYSTEM_TIME expr(E). { A = E; }

/* ---- MATCH_RECOGNIZE -------------------------------------------------------------------------------------------- */

%type measures_opt {struct sql_items}
%type measures {struct sql_items}
%type definitions {struct sql_items}
%type all_rows {bool}
%type skip_opt {struct sql_match}
%type within_opt {struct sql_expr *}
%type pattern {struct sql_pattern *}
%type pattern_branches {struct sql_patterns}
%type pattern_sequence {struct sql_patterns}
%type pattern_term {struct sql_pattern *}
%type pattern_atom {struct sql_pattern *}
%type pattern_list {struct sql_patterns}
%type repeat {struct sql_bound}
match(A) ::= window_partition(P) window_order(O) measures_opt(M) all_rows(R) skip_opt(S) PATTERN LP pattern(T) RP
    within_opt(W) DEFINE definitions(D). {
    A = build_alloc(b, sizeof *A);
    *A = S;
    A->partition_by = P;
    A->order_by = O;
    A->measures = M;
    A->all_rows = R;
    A->pattern = T;
    A->within = W;
    A->define = D;
}
measures_opt(A) ::= . { A = (struct sql_items){0}; }
measures_opt(A) ::= MEASURES measures(L). { A = L; }
measures(A) ::= expr(E) AS ID(N). { A = build_items(b, (struct sql_items){0}, (struct sql_item){E, build_name(b, N)}); }
measures(A) ::= measures(L) COMMA expr(E) AS ID(N). { A = build_items(b, L, (struct sql_item){E, build_name(b, N)}); }
definitions(A) ::= ID(N) AS expr(E). {
    A = build_items(b, (struct sql_items){0}, (struct sql_item){E, build_name(b, N)});
}
definitions(A) ::= definitions(L) COMMA ID(N) AS expr(E). {
    A = build_items(b, L, (struct sql_item){E, build_name(b, N)});
}
all_rows(A) ::= . { A = false; }
all_rows(A) ::= ONE_ROW. { A = false; }
all_rows(A) ::= ALL_ROWS. { A = true; }
skip_opt(A) ::= . { A = (struct sql_match){0}; }
skip_opt(A) ::= SKIP_PAST. { A = (struct sql_match){.skip = SQL_SKIP_PAST_LAST_ROW}; }
skip_opt(A) ::= SKIP_NEXT. { A = (struct sql_match){.skip = SQL_SKIP_TO_NEXT_ROW}; }
skip_opt(A) ::= SKIP_FIRST ID(N). { A = (struct sql_match){.skip = SQL_SKIP_TO_FIRST, .skip_to = build_name(b, N)}; }
skip_opt(A) ::= SKIP_LAST ID(N). { A = (struct sql_match){.skip = SQL_SKIP_TO_LAST, .skip_to = build_name(b, N)}; }
within_opt(A) ::= . { A = NULL; }
within_opt(A) ::= WITHIN expr(E). { A = E; }

pattern(A) ::= pattern_branches(L). {
    A = L.count == 1 ? L.items[0] : build_pattern(b, SQL_PATTERN_ALTERNATION, L.items[0]->span, L);
}
pattern_branches(A) ::= pattern_sequence(S). {
    struct sql_pattern *one = S.count == 1 ? S.items[0] : build_pattern(b, SQL_PATTERN_SEQUENCE, S.items[0]->span, S);
    A = build_patterns(b, (struct sql_patterns){0}, one);
}
pattern_branches(A) ::= pattern_branches(L) BAR pattern_sequence(S). {
    struct sql_pattern *one = S.count == 1 ? S.items[0] : build_pattern(b, SQL_PATTERN_SEQUENCE, S.items[0]->span, S);
    A = build_patterns(b, L, one);
}
pattern_sequence(A) ::= pattern_term(T). { A = build_patterns(b, (struct sql_patterns){0}, T); }
pattern_sequence(A) ::= pattern_sequence(L) pattern_term(T). { A = build_patterns(b, L, T); }
pattern_term(A) ::= pattern_atom(T). { A = T; }
pattern_term(A) ::= pattern_atom(T) STAR. { A = build_repeat(b, T, 0, UINT32_MAX); }
pattern_term(A) ::= pattern_atom(T) PLUS. { A = build_repeat(b, T, 1, UINT32_MAX); }
pattern_term(A) ::= pattern_atom(T) QUESTION. { A = build_repeat(b, T, 0, 1); }
pattern_term(A) ::= pattern_atom(T) STAR QUESTION. { A = build_repeat(b, T, 0, UINT32_MAX); A->reluctant = true; }
pattern_term(A) ::= pattern_atom(T) PLUS QUESTION. { A = build_repeat(b, T, 1, UINT32_MAX); A->reluctant = true; }
pattern_term(A) ::= pattern_atom(T) QUESTION QUESTION. { A = build_repeat(b, T, 0, 1); A->reluctant = true; }
pattern_term(A) ::= pattern_atom(T) braces(R). { A = build_repeat(b, T, R.min, R.max); }
pattern_term(A) ::= pattern_atom(T) braces(R) QUESTION. { A = build_repeat(b, T, R.min, R.max); A->reluctant = true; }
%type braces {struct build_range}
%include {
struct build_range { uint32_t min, max; };
}
braces(A) ::= LBRACE INTEGER(N) RBRACE. { A.min = A.max = build_uint(b, N); }
braces(A) ::= LBRACE INTEGER(N) COMMA RBRACE. { A.min = build_uint(b, N); A.max = UINT32_MAX; }
braces(A) ::= LBRACE COMMA INTEGER(M) RBRACE. { A.min = 0; A.max = build_uint(b, M); }
braces(A) ::= LBRACE INTEGER(N) COMMA INTEGER(M) RBRACE. { A.min = build_uint(b, N); A.max = build_uint(b, M); }
pattern_atom(A) ::= ID(N). {
    A = build_pattern(b, SQL_PATTERN_VARIABLE, N.span, (struct sql_patterns){0});
    A->name = build_name(b, N);
}
pattern_atom(A) ::= LP pattern(P) RP. { A = P; }
pattern_atom(A) ::= EXCLUDE_OPEN(T) pattern(P) EXCLUDE_CLOSE. {
    A = build_pattern(b, SQL_PATTERN_EXCLUDE, T.span, build_patterns(b, (struct sql_patterns){0}, P));
}
pattern_atom(A) ::= PERMUTE(T) LP pattern_list(L) RP. { A = build_pattern(b, SQL_PATTERN_PERMUTE, T.span, L); }
pattern_list(A) ::= pattern(P). { A = build_patterns(b, (struct sql_patterns){0}, P); }
pattern_list(A) ::= pattern_list(L) COMMA pattern(P). { A = build_patterns(b, L, P); }

/* ---- CREATE ----------------------------------------------------------------------------------------------------- */

%type create_mode {struct sql_drop}
%type table_elements_opt {struct sql_table_elements *}
%type table_elements {struct sql_table_elements *}
%type element_list {struct sql_table_elements *}
create_mode(A) ::= CREATE. { A = (struct sql_drop){0}; }
create_mode(A) ::= CREATE OR_REPLACE. { A = (struct sql_drop){.cascade = true}; }
create_mode(A) ::= CREATE TEMPORARY. { A = (struct sql_drop){.temporary = true}; }
create_mode(A) ::= CREATE OR_REPLACE TEMPORARY. { A = (struct sql_drop){.cascade = true, .temporary = true}; }
create_mode(A) ::= CREATE TEMPORARY SYSTEM. { A = (struct sql_drop){.temporary = true, .system = true}; }

plain_statement(A) ::= create_mode(M) TABLE(T) if_not_exists(X) path(P) table_elements_opt(E) comment_opt(C)
    distribution(D) partitioned(K) with_options_opt(O) like_opt(L) as_opt(Q). {
    A = build_statement(b, SQL_STATEMENT_CREATE_TABLE, T.span);
    struct sql_create_table *table = &A->create_table;
    *table = D;
    table->name = P;
    table->temporary = M.temporary;
    table->or_replace = M.cascade;
    table->if_not_exists = X;
    if (E) { table->elements = *E; }
    table->comment = C;
    table->partitioned_by = K;
    table->options = O;
    table->has_like = L.has_like;
    table->like = L.like;
    table->like_options = L.like_options;
    table->as = Q;
    if (Q) { A->height = build_height(b, T.span, Q->height + 1u); }
}
table_elements_opt(A) ::= . { A = NULL; }
table_elements_opt(A) ::= table_elements(E). { A = E; }
table_elements(A) ::= LP element_list(E) RP. { A = E; }
element_list(A) ::= element(E). { A = E; }
element_list(A) ::= element_list(L) COMMA element(E). {
    A = L;
    for (unsigned i = 0; i < E->columns.count; i++) { build_column(b, A, E->columns.items[i]); }
    for (unsigned i = 0; i < E->constraints.count; i++) { build_constraint(b, A, E->constraints.items[i]); }
    for (unsigned i = 0; i < E->watermarks.count; i++) { build_watermark(b, A, E->watermarks.items[i]); }
}
%type element {struct sql_table_elements *}
%type column {struct sql_column}
%type constraint {struct sql_constraint}
%type constraint_body {struct sql_constraint}
%type enforced {bool}
element(A) ::= column(C). { A = build_alloc(b, sizeof *A); build_column(b, A, C); }
element(A) ::= constraint(C). { A = build_alloc(b, sizeof *A); build_constraint(b, A, C); }
element(A) ::= WATERMARK_FOR(T) path(P) AS expr(E). {
    A = build_alloc(b, sizeof *A);
    build_watermark(b, A, (struct sql_watermark){build_span(b, T.span), P, E});
}
constraint(A) ::= constraint_body(C). { A = C; }
constraint(A) ::= CONSTRAINT(T) ID(N) constraint_body(C). {
    A = C;
    A.name = build_name(b, N);
    A.span = build_span(b, T.span);
}
constraint_body(A) ::= PRIMARY_KEY(T) column_list(C) enforced(E). {
    A = (struct sql_constraint){.span = build_span(b, T.span), .columns = C, .enforced = E};
}
constraint_body(A) ::= UNIQUE(T) column_list(C) enforced(E). {
    A = (struct sql_constraint){.span = build_span(b, T.span), .columns = C, .enforced = E, .unique = true};
}
enforced(A) ::= . { A = true; }
enforced(A) ::= ENFORCED. { A = true; }
enforced(A) ::= NOT_ENFORCED. { A = false; }

column(A) ::= column_core(C). { A = C; }
column(A) ::= column_core(C) FIRST. { A = C; A.place = SQL_PLACE_FIRST; }
column(A) ::= column_core(C) AFTER ID(N). { A = C; A.place = SQL_PLACE_AFTER; A.after = build_name(b, N); }
%type column_core {struct sql_column}
column_core(A) ::= ID(N). {
    A = (struct sql_column){.kind = SQL_COLUMN_PHYSICAL, .span = N.span, .name = build_name(b, N)};
}
column_core(A) ::= ID(N) type(T) column_key(K) comment_opt(C). {
    A = (struct sql_column){.kind = SQL_COLUMN_PHYSICAL, .span = build_span(b, N.span), .name = build_name(b, N)};
    A.type = T;
    A.is_primary_key = K;
    A.comment = C;
}
column_core(A) ::= ID(N) type(T) METADATA metadata_key(K) virtual(V) comment_opt(C). {
    A = (struct sql_column){.kind = SQL_COLUMN_METADATA, .span = build_span(b, N.span), .name = build_name(b, N)};
    A.type = T;
    A.metadata_key = K;
    A.is_virtual = V;
    A.comment = C;
}
column_core(A) ::= ID(N) AS expr(E) comment_opt(C). {
    A = (struct sql_column){.kind = SQL_COLUMN_COMPUTED, .span = build_span(b, N.span), .name = build_name(b, N)};
    A.expr = E;
    A.comment = C;
}
%type column_key {bool}
%type metadata_key {const char *}
%type virtual {bool}
column_key(A) ::= . { A = false; }
column_key(A) ::= PRIMARY_KEY(T) enforced(E). {
    if (E) {
        build_fail(b, SABOT_ERR_SQL, build_span(b, T.span),
                   "a stream can't enforce a primary key: write PRIMARY KEY NOT ENFORCED");
    }
    A = true;
}
metadata_key(A) ::= . { A = NULL; }
metadata_key(A) ::= FROM string(S). { A = S; }
virtual(A) ::= . { A = false; }
virtual(A) ::= VIRTUAL. { A = true; }

%type distribution {struct sql_create_table}
%type partitioned {struct sql_path}
%type like_opt {struct sql_create_table}
%type like_options {struct sql_like_options}
%type as_opt {struct sql_query *}
distribution(A) ::= . { A = (struct sql_create_table){0}; }
distribution(A) ::= DISTRIBUTED_BY column_list(C) buckets(N). {
    A = (struct sql_create_table){.has_distribution = true, .distributed_by = C, .buckets = N};
}
distribution(A) ::= DISTRIBUTED_BY ID(K) column_list(C) buckets(N). {
    A = (struct sql_create_table){.has_distribution = true, .distributed_by = C, .buckets = N};
    if (!build_word_is(&K, "HASH") && !build_word_is(&K, "RANGE")) {
        build_fail(b, SABOT_ERR_SQL, K.span, "DISTRIBUTED BY knows HASH and RANGE");
    }
    A.distribution_kind = build_word_is(&K, "HASH") ? "HASH" : "RANGE";
}
distribution(A) ::= DISTRIBUTED_INTO INTEGER(N) ID(W). {
    A = (struct sql_create_table){.has_distribution = true, .buckets = build_buckets(b, N, W)};
}
%type buckets {uint32_t}
buckets(A) ::= . { A = 0; }
buckets(A) ::= INTO INTEGER(N) ID(W). { A = build_buckets(b, N, W); }
partitioned(A) ::= . { A = NO_PATH; }
partitioned(A) ::= PARTITIONED_BY column_list(C). { A = C; }
like_opt(A) ::= . { A = (struct sql_create_table){0}; }
like_opt(A) ::= LIKE path(P). { A = (struct sql_create_table){.has_like = true, .like = P}; }
like_opt(A) ::= LIKE path(P) LP like_options(L) RP. {
    A = (struct sql_create_table){.has_like = true, .like = P, .like_options = L};
}
like_options(A) ::= . { A = (struct sql_like_options){0}; }
like_options(A) ::= like_options(L) ID(M) like_what(W). {
    A = build_like_options(b, L, build_like_option(b, M, W));
}
like_what(A) ::= ID(T). { A = T; }
like_what(A) ::= ALL(T). { A = T; }
as_opt(A) ::= . { A = NULL; }
as_opt(A) ::= AS query(Q). { A = Q; }

plain_statement(A) ::= create_mode(M) VIEW(T) if_not_exists(X) path(P) column_list_opt(C) comment_opt(K) AS query(Q). {
    A = build_statement(b, SQL_STATEMENT_CREATE_VIEW, T.span);
    A->create_view = (struct sql_create_view){
        .name = P,
        .temporary = M.temporary,
        .or_replace = M.cascade,
        .if_not_exists = X,
        .columns = C,
        .comment = K,
        .query = Q,
        .query_span = Q->span,
    };
    A->height = build_height(b, T.span, Q->height + 1u);
}

plain_statement(A) ::= create_mode(M) FUNCTION(T) if_not_exists(X) path(P) AS STRING(C) language(L) resources_opt(R). {
    A = build_statement(b, SQL_STATEMENT_CREATE_FUNCTION, T.span);
    A->create_function = (struct sql_create_function){
        .name = P,
        .temporary = M.temporary,
        .system = M.system,
        .if_not_exists = X,
        .class_name = build_string(b, C),
        .class_span = C.span,
        .language = L,
        .resources = R,
    };
}
%type language {enum sql_language}
%type resources_opt {struct sql_resources}
%type resources {struct sql_resources}
%type resource {struct sql_resource}
language(A) ::= . { A = SQL_LANGUAGE_DEFAULT; }
language(A) ::= LANGUAGE ID(W). { A = build_language(b, W); }
resources_opt(A) ::= . { A = (struct sql_resources){0}; }
resources_opt(A) ::= USING resources(L). { A = L; }
resources(A) ::= resource(R). { A = build_resources(b, (struct sql_resources){0}, R); }
resources(A) ::= resources(L) COMMA resource(R). { A = build_resources(b, L, R); }
resource(A) ::= resource_kind(K) STRING(S). {
    const char *kind = build_word_is(&K, "FILE") ? "FILE" : build_word_is(&K, "ARCHIVE") ? "ARCHIVE" : "JAR";
    if (kind[0] == 'J' && !build_word_is(&K, "JAR")) {
        build_fail(b, SABOT_ERR_SQL, K.span, "USING knows JAR, FILE and ARCHIVE");
    }
    A = (struct sql_resource){kind, build_string(b, S), build_span(b, K.span)};
}
resource_kind(A) ::= JAR(T). { A = T; }
resource_kind(A) ::= ID(T). { A = T; }

plain_statement(A) ::= CREATE CATALOG(T) if_not_exists(X) path(P) comment_opt(C) with_options_opt(O). {
    A = build_statement(b, SQL_STATEMENT_CREATE_CATALOG, T.span);
    A->create_catalog = (struct sql_create_catalog){P, X, C, O};
}
plain_statement(A) ::= CREATE DATABASE(T) if_not_exists(X) path(P) comment_opt(C) with_options_opt(O). {
    A = build_statement(b, SQL_STATEMENT_CREATE_DATABASE, T.span);
    A->create_catalog = (struct sql_create_catalog){P, X, C, O};
}

/* ---- DROP and ALTER --------------------------------------------------------------------------------------------- */

%type object {enum sql_object_kind}
object(A) ::= TABLE. { A = SQL_OBJECT_TABLE; }
object(A) ::= VIEW. { A = SQL_OBJECT_VIEW; }
object(A) ::= FUNCTION. { A = SQL_OBJECT_FUNCTION; }
object(A) ::= CATALOG. { A = SQL_OBJECT_CATALOG; }
object(A) ::= DATABASE. { A = SQL_OBJECT_DATABASE; }
%type drop_mode {struct sql_drop}
drop_mode(A) ::= . { A = (struct sql_drop){0}; }
drop_mode(A) ::= CASCADE. { A = (struct sql_drop){.cascade = true}; }
drop_mode(A) ::= RESTRICT. { A = (struct sql_drop){.restrict_given = true}; }
plain_statement(A) ::= DROP(T) object(K) if_exists(X) path(P) drop_mode(M). {
    A = build_statement(b, SQL_STATEMENT_DROP, T.span);
    A->drop = M;
    A->drop.object = K;
    A->drop.if_exists = X;
    A->drop.name = P;
}
plain_statement(A) ::= DROP(T) TEMPORARY object(K) if_exists(X) path(P). {
    A = build_statement(b, SQL_STATEMENT_DROP, T.span);
    A->drop = (struct sql_drop){.object = K, .temporary = true, .if_exists = X, .name = P};
}
plain_statement(A) ::= DROP(T) TEMPORARY SYSTEM FUNCTION if_exists(X) path(P). {
    A = build_statement(b, SQL_STATEMENT_DROP, T.span);
    A->drop = (struct sql_drop){
        .object = SQL_OBJECT_FUNCTION, .temporary = true, .system = true, .if_exists = X, .name = P};
}

%type alter_action {struct sql_alter *}
plain_statement(A) ::= ALTER(T) TABLE if_exists(X) path(P) alter_action(C). {
    A = build_statement(b, SQL_STATEMENT_ALTER, T.span);
    A->alter = *C;
    A->alter.object = SQL_OBJECT_TABLE;
    A->alter.if_exists = X;
    A->alter.name = P;
}
plain_statement(A) ::= ALTER(T) VIEW path(P) RENAME TO path(N). {
    A = build_statement(b, SQL_STATEMENT_ALTER, T.span);
    A->alter = (struct sql_alter){.object = SQL_OBJECT_VIEW, .kind = SQL_ALTER_RENAME, .name = P, .new_name = N};
}
plain_statement(A) ::= ALTER(T) VIEW path(P) AS query(Q). {
    A = build_statement(b, SQL_STATEMENT_ALTER, T.span);
    A->alter = (struct sql_alter){.object = SQL_OBJECT_VIEW, .kind = SQL_ALTER_VIEW_AS, .name = P, .query = Q};
    A->height = build_height(b, T.span, Q->height + 1u);
}
plain_statement(A) ::= ALTER(T) DATABASE path(P) SET LP options(O) RP. {
    A = build_statement(b, SQL_STATEMENT_ALTER, T.span);
    A->alter = (struct sql_alter){
        .object = SQL_OBJECT_DATABASE, .kind = SQL_ALTER_SET_OPTIONS, .name = P, .options = O};
}
plain_statement(A) ::= ALTER(T) FUNCTION if_exists(X) path(P) AS STRING(C) language(L). {
    A = build_statement(b, SQL_STATEMENT_ALTER_FUNCTION, T.span);
    A->create_function = (struct sql_create_function){
        .name = P, .if_not_exists = X, .class_name = build_string(b, C), .class_span = C.span, .language = L};
}
alter_action(A) ::= RENAME TO path(N). {
    A = build_alloc(b, sizeof *A);
    A->kind = SQL_ALTER_RENAME;
    A->new_name = N;
}
alter_action(A) ::= RENAME path(C) TO path(N). {
    A = build_alloc(b, sizeof *A);
    A->kind = SQL_ALTER_RENAME_COLUMN;
    A->column = C;
    A->new_name = N;
}
alter_action(A) ::= SET LP options(O) RP. {
    A = build_alloc(b, sizeof *A);
    A->kind = SQL_ALTER_SET_OPTIONS;
    A->options = O;
}
alter_action(A) ::= RESET LP option_keys(O) RP. {
    A = build_alloc(b, sizeof *A);
    A->kind = SQL_ALTER_RESET_OPTIONS;
    A->options = O;
}
alter_action(A) ::= ADD alter_elements(E). {
    A = build_alloc(b, sizeof *A);
    A->kind = SQL_ALTER_ADD;
    A->elements = *E;
}
alter_action(A) ::= MODIFY alter_elements(E). {
    A = build_alloc(b, sizeof *A);
    A->kind = SQL_ALTER_MODIFY;
    A->elements = *E;
}
%type alter_elements {struct sql_table_elements *}
alter_elements(A) ::= element(E). { A = E; }
alter_elements(A) ::= table_elements(E). { A = E; }
alter_action(A) ::= DROP ids(C). {
    A = build_alloc(b, sizeof *A);
    A->kind = SQL_ALTER_DROP_COLUMNS;
    A->columns = C;
    /* DROP WATERMARK has one word too: a column of that name is quoted. */
    if (C.count == 1 && !C.items[0].quoted && strcasecmp(C.items[0].text, "WATERMARK") == 0) {
        A->kind = SQL_ALTER_DROP_WATERMARK;
    }
}
alter_action(A) ::= DROP column_list(C). {
    A = build_alloc(b, sizeof *A);
    A->kind = SQL_ALTER_DROP_COLUMNS;
    A->columns = C;
}
alter_action(A) ::= DROP PRIMARY_KEY. { A = build_alloc(b, sizeof *A); A->kind = SQL_ALTER_DROP_PRIMARY_KEY; }
alter_action(A) ::= DROP ID(W) ID(N). {
    if (!build_word_is(&W, "CONSTRAINT")) {
        build_fail(b, SABOT_ERR_SQL, W.span, "DROP CONSTRAINT name or DROP column is meant here");
    }
    A = build_alloc(b, sizeof *A);
    A->kind = SQL_ALTER_DROP_CONSTRAINT;
    A->columns = build_path(b, NO_PATH, N);
}

/* ---- USE, SHOW, DESCRIBE, SET, EXPLAIN -------------------------------------------------------------------------- */

plain_statement(A) ::= USE(T) CATALOG path(P). {
    A = build_statement(b, SQL_STATEMENT_USE_CATALOG, T.span);
    A->name = P;
}
plain_statement(A) ::= USE(T) path(P). {
    A = build_statement(b, SQL_STATEMENT_USE_DATABASE, T.span);
    A->name = P;
}

%type show {struct sql_statement *}
%type show_from {struct sql_path}
plain_statement(A) ::= show(S). { A = S; }
plain_statement(A) ::= show(S) like_word(L) string(P). {
    A = S;
    A->show.like = P;
    A->show.negated = L.kind == TK_NOT_LIKE || L.kind == TK_NOT;
    A->show.ignore_case = L.kind == TK_ILIKE || L.kind == TK_NOT;
}
like_word(A) ::= LIKE(T). { A = T; }
like_word(A) ::= NOT_LIKE(T). { A = T; }
like_word(A) ::= ILIKE(T). { A = T; }
like_word(A) ::= NOT(T) ILIKE. { A = T; }
show(A) ::= SHOW(T) ID(W) show_from(P). { A = build_show(b, T, W, NULL, P); }
show(A) ::= SHOW(T) ID(W) path(N) show_from(P). {
    struct sql_token second = {.kind = TK_ID, .text = N.items[0].text, .span = N.items[0].span};
    second.span.size = (uint32_t)strlen(second.text);
    struct sql_statement *statement = build_show(b, T, W, &second, P);
    if (statement->show.kind == SQL_SHOW_PARTITIONS) { statement->show.name = N; }
    A = statement;
}
show(A) ::= SHOW(T) CREATE TABLE path(P). {
    A = build_statement(b, SQL_STATEMENT_SHOW, T.span);
    A->show = (struct sql_show){.kind = SQL_SHOW_CREATE_TABLE, .name = P};
}
show(A) ::= SHOW(T) CREATE VIEW path(P). {
    A = build_statement(b, SQL_STATEMENT_SHOW, T.span);
    A->show = (struct sql_show){.kind = SQL_SHOW_CREATE_VIEW, .name = P};
}
show(A) ::= SHOW(T) CREATE CATALOG path(P). {
    A = build_statement(b, SQL_STATEMENT_SHOW, T.span);
    A->show = (struct sql_show){.kind = SQL_SHOW_CREATE_CATALOG, .name = P};
}
show_from(A) ::= . { A = NO_PATH; }
show_from(A) ::= FROM path(P). { A = P; }
show_from(A) ::= IN path(P). { A = P; }

describe_word(A) ::= DESCRIBE(T). { A = T; }
describe_word(A) ::= DESC(T). { A = T; }
plain_statement(A) ::= describe_word(T) path(P). { A = build_describe(b, T, NULL, P); }
plain_statement(A) ::= describe_word(T) ID(W) path(P). { A = build_describe(b, T, &W, P); }
plain_statement(A) ::= describe_word(T) TABLE path(P). { A = build_describe(b, T, NULL, P); }
plain_statement(A) ::= describe_word(T) JOB string(S). {
    A = build_statement(b, SQL_STATEMENT_DESCRIBE, T.span);
    A->describe = (struct sql_describe){.object = SQL_OBJECT_JOB, .job = S};
}

set_word(A) ::= STRING(T). { A = T; }
set_word(A) ::= RAW(T). { A = T; }
plain_statement(A) ::= SET(T). { A = build_statement(b, SQL_STATEMENT_SET, T.span); }
plain_statement(A) ::= SET(T) set_word(K) EQ set_word(V). {
    A = build_statement(b, SQL_STATEMENT_SET, T.span);
    A->set = build_options(b, A->set, (struct sql_option){build_string(b, K), build_string(b, V), K.span, V.span});
}
plain_statement(A) ::= RESET(T). { A = build_statement(b, SQL_STATEMENT_RESET, T.span); }
plain_statement(A) ::= RESET(T) set_word(K). {
    A = build_statement(b, SQL_STATEMENT_RESET, T.span);
    A->set = build_options(b, A->set, (struct sql_option){build_string(b, K), NULL, K.span, K.span});
}

%type explained {struct sql_statement *}
%type details {unsigned}
explained(A) ::= runnable(S). { A = S; A->span = build_span(b, A->span); }
explained(A) ::= EXECUTE(T) runnable(S). { A = S; A->span = build_span(b, T.span); }
plain_statement(A) ::= EXPLAIN(T) explained(S). {
    A = build_statement(b, SQL_STATEMENT_EXPLAIN, T.span);
    A->explain = (struct sql_explain){0, S};
    A->height = build_height(b, T.span, S->height + 1u);
}
plain_statement(A) ::= EXPLAIN(T) PLAN_FOR explained(S). {
    A = build_statement(b, SQL_STATEMENT_EXPLAIN, T.span);
    A->explain = (struct sql_explain){0, S};
    A->height = build_height(b, T.span, S->height + 1u);
}
plain_statement(A) ::= EXPLAIN(T) details(D) explained(S). {
    A = build_statement(b, SQL_STATEMENT_EXPLAIN, T.span);
    A->explain = (struct sql_explain){D, S};
    A->height = build_height(b, T.span, S->height + 1u);
}
details(A) ::= ID(W). { A = 0; build_explain_detail(b, &A, W); }
details(A) ::= details(L) COMMA ID(W). { A = L; build_explain_detail(b, &A, W); }
plain_statement(A) ::= EXPLAIN(T) STALL. {
    A = build_statement(b, SQL_STATEMENT_EXPLAIN_STALL, T.span);
}
plain_statement(A) ::= EXPLAIN(T) STALL job_name(J). {
    A = build_statement(b, SQL_STATEMENT_EXPLAIN_STALL, T.span);
    A->job = J;
}
%type job_name {const char *}
job_name(A) ::= string(S). { A = S; }
job_name(A) ::= ID(N). { A = build_name(b, N).text; }
plain_statement(A) ::= STOP(T) JOB job_name(J) stop_mode(M). {
    A = build_statement(b, SQL_STATEMENT_STOP_JOB, T.span);
    A->stop.job = J;
    A->stop.with_savepoint = (M & 1) != 0;
    A->stop.with_drain = (M & 2) != 0;
}
%type stop_mode {int}
stop_mode(A) ::= . { A = 0; }
stop_mode(A) ::= stop_mode(M) WITH_SAVEPOINT. { A = M | 1; }
stop_mode(A) ::= stop_mode(M) WITH_DRAIN. { A = M | 2; }
plain_statement(A) ::= ADD(T) JAR string(S). {
    A = build_statement(b, SQL_STATEMENT_ADD_JAR, T.span);
    A->text = S;
}
plain_statement(A) ::= REMOVE(T) JAR string(S). {
    A = build_statement(b, SQL_STATEMENT_REMOVE_JAR, T.span);
    A->text = S;
}

/* ---- INSERT and statement sets ---------------------------------------------------------------------------------- */

%type insert_word {struct sql_token}
%type partition_opt {struct sql_insert}
%type partition_items {struct sql_insert}
insert_word(A) ::= INSERT_INTO(T). { A = T; }
insert_word(A) ::= INSERT_OVERWRITE(T). { A = T; }
insert(A) ::= insert_word(T) path(P) hints(H) partition_opt(K) query(Q). {
    A = build_statement(b, SQL_STATEMENT_INSERT, T.span);
    A->insert = K;
    A->insert.target = P;
    A->insert.hints = H;
    A->insert.overwrite = T.kind == TK_INSERT_OVERWRITE;
    A->insert.query = Q;
    A->height = build_height(b, T.span, Q->height + 1u);
}
insert(A) ::= insert_word(T) path(P) hints(H) partition_opt(K) column_list(C) query(Q). {
    A = build_statement(b, SQL_STATEMENT_INSERT, T.span);
    A->insert = K;
    A->insert.target = P;
    A->insert.hints = H;
    A->insert.overwrite = T.kind == TK_INSERT_OVERWRITE;
    A->insert.has_columns = true;
    A->insert.columns = C;
    A->insert.query = Q;
    A->height = build_height(b, T.span, Q->height + 1u);
}
partition_opt(A) ::= . { A = (struct sql_insert){0}; }
partition_opt(A) ::= PARTITION LP partition_items(L) RP. { A = L; }
partition_items(A) ::= ID(N) partition_value(V). {
    A = (struct sql_insert){0};
    A.partition = build_options(
        b, A.partition, (struct sql_option){build_name(b, N).text, V ? V->text : NULL, N.span, V ? V->span : N.span});
    A.partition_values = build_exprs(b, A.partition_values, V);
}
partition_items(A) ::= partition_items(L) COMMA ID(N) partition_value(V). {
    A = L;
    A.partition = build_options(
        b, A.partition, (struct sql_option){build_name(b, N).text, V ? V->text : NULL, N.span, V ? V->span : N.span});
    A.partition_values = build_exprs(b, A.partition_values, V);
}
%type partition_value {struct sql_expr *}
partition_value(A) ::= . { A = NULL; }
partition_value(A) ::= EQ literal(E). {
    A = E;
    if (E->kind != SQL_EXPR_STRING && E->kind != SQL_EXPR_INTEGER && E->kind != SQL_EXPR_DATE) {
        build_fail(b, SABOT_ERR_SQL, E->span, "a partition's value is a string, an integer or a date");
    }
}

%type inserts {struct sql_statements}
statement_set(A) ::= STATEMENT_SET(T) BEGIN inserts(L) END. {
    A = build_statement(b, SQL_STATEMENT_SET_OF_STATEMENTS, T.span);
    A->statements = L;
}
statement_set(A) ::= BEGIN(T) STATEMENT_SET SEMI inserts(L) END. {
    A = build_statement(b, SQL_STATEMENT_SET_OF_STATEMENTS, T.span);
    A->statements = L;
}
inserts(A) ::= insert(S) SEMI. {
    S->span = sql_span_join(S->span, S->insert.query->span);
    A = build_statements(b, (struct sql_statements){0}, S);
}
inserts(A) ::= inserts(L) insert(S) SEMI. {
    S->span = sql_span_join(S->span, S->insert.query->span);
    A = build_statements(b, L, S);
}

/* ---- what could have followed ----------------------------------------------------------------------------------- */

%code {
/* Whether the parser, as it stands, would take a token; changes nothing. */
static bool takes(YYCODETYPE token, YYACTIONTYPE *states, size_t depth) {
    YYACTIONTYPE action = states[depth - 1];
    for (;;) {
        action = yy_find_shift_action(token, action);
        if (action == YY_ACCEPT_ACTION) { return true; }
        if (action == YY_ERROR_ACTION) { return false; }
        if (action < YY_MIN_REDUCE) { return true; }
        const unsigned rule = action - YY_MIN_REDUCE;
        const size_t size = (size_t)-yyRuleInfoNRhs[rule];
        depth -= size;
        action = yy_find_reduce_action(states[depth - 1], yyRuleInfoLhs[rule]);
        states[depth++] = action;
        if (action == YY_ACCEPT_ACTION) { return true; }
    }
}

size_t sql_grammar_expected(void *opaque, int *kinds, size_t kinds_max) {
    const yyParser *parser = opaque;
    const size_t depth = (size_t)(parser->yytos - parser->yystack) + 1;
    /* One empty reduction per step at most grows the stack, and only by the length of a chain of empty rules. */
    YYACTIONTYPE *states = malloc((depth + 64) * sizeof *states);
    size_t count = 0;
    if (!states) { return 0; }
    bool name_fits = false;
    for (int step = -1; step < (int)YYNTOKEN && count < kinds_max; step++) {
        const int token = step < 0 ? TK_ID : step; /* names first, see below */
        if ((step == TK_ID) || (name_fits && yyFallback[token] != 0)) { continue; }
        for (size_t i = 0; i < depth; i++) { states[i] = parser->yystack[i].stateno; }
        if (takes((YYCODETYPE)token, states, depth)) {
            kinds[count++] = token;
            /* A keyword that may stand for a name is no news where a name may stand. */
            name_fits |= token == TK_ID;
        }
    }
    free(states);
    return count;
}

size_t sql_grammar_depth(void *opaque) {
    const yyParser *parser = opaque;
    return (size_t)(parser->yytos - parser->yystack);
}
}
