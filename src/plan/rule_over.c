/* ROW_NUMBER() OVER (ORDER BY time) whose numbers nothing limits: an OVER aggregate rather than a ranking. */
#include "plan/rules.h"

sabot_status rule_over(struct plan_arena *plans, struct plan *plan, struct plan **out, struct sabot_error *err) {
    SABOT_TRY(plan_rewrite_inputs(plans, plan, rule_over, &plan, err));
    *out = plan;
    if (plan->kind != PLAN_RANK || plan->rank.limit >= 0 || plan->rank.first > 1 || plan->rank.n_order != 1 ||
        plan->rank.order[0].descending || !plan->rank.output_rank) {
        return SABOT_OK;
    }
    struct plan *input = plan->inputs[0];
    if (input->columns[plan->rank.order[0].column].time != TIME_ROWTIME) { return SABOT_OK; }
    const int32_t last = plan->schema->n_fields - 1;
    struct over_call *call = ARENA_NEW(&plans->arena, struct over_call);
    if (!call) { return PLAN_NO_MEMORY(err); }
    *call = (struct over_call){.function = OVER_ROW_NUMBER,
                               .aggregate = {.argument = -1, .filter = -1, .type = plan->schema->fields[last].type}};
    struct plan model = {.kind = PLAN_OVER, .span = plan->span};
    model.over = (struct over_options){
        .keys = plan->rank.keys, .n_keys = plan->rank.n_keys, .time_column = plan->rank.order[0].column,
        .frame = OVER_UNBOUNDED_ROWS, .calls = call, .n_calls = 1,
    };
    return plan_over(plans, input, &model, &plan->schema->fields[last].name, out, err);
}
