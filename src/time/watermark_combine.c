/* The watermark of a task from those of its channels. */
#include "time/watermark_combine.h"

#include <stdlib.h>

sabot_status watermark_combine_init(struct watermark_combine *combine, int32_t n_inputs, int64_t now_ns,
                                    struct sabot_error *err) {
    *combine = (struct watermark_combine){.n_inputs = n_inputs, .watermark_ms = INT64_MIN};
    combine->inputs = calloc(n_inputs > 0 ? (size_t)n_inputs : 1, sizeof *combine->inputs);
    if (!combine->inputs) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for %d watermarks", n_inputs); }
    for (int32_t i = 0; i < n_inputs; i++) {
        combine->inputs[i] = (struct watermark_input){.watermark_ms = INT64_MIN, .since_ns = now_ns, .aligned = true};
    }
    return SABOT_OK;
}

void watermark_combine_clear(struct watermark_combine *combine) {
    free(combine->inputs);
    *combine = (struct watermark_combine){0};
}

static bool advance_to_minimum(struct watermark_combine *combine) {
    int64_t minimum = INT64_MAX;
    bool any = false;
    for (int32_t i = 0; i < combine->n_inputs; i++) {
        if (!combine->inputs[i].aligned) { continue; }
        any = true;
        if (combine->inputs[i].watermark_ms < minimum) { minimum = combine->inputs[i].watermark_ms; }
    }
    if (!any || minimum <= combine->watermark_ms) { return false; }
    combine->watermark_ms = minimum;
    return true;
}

static bool advance_to_maximum(struct watermark_combine *combine) {
    int64_t maximum = INT64_MIN;
    for (int32_t i = 0; i < combine->n_inputs; i++) {
        if (combine->inputs[i].watermark_ms > maximum) { maximum = combine->inputs[i].watermark_ms; }
    }
    if (maximum <= combine->watermark_ms) { return false; }
    combine->watermark_ms = maximum;
    return true;
}

static void align(struct watermark_combine *combine, struct watermark_input *input) {
    input->aligned = !input->idle && input->watermark_ms >= combine->watermark_ms;
}

void watermark_combine_active(struct watermark_combine *combine, int32_t input) {
    struct watermark_input *in = &combine->inputs[input];
    if (!in->idle) { return; }
    in->idle = false;
    combine->n_idle--;
    combine->idle = false;
    align(combine, in);
}

struct watermark_change watermark_combine_advance(struct watermark_combine *combine, int32_t input,
                                                  int64_t watermark_ms, int64_t now_ns) {
    watermark_combine_active(combine, input);
    struct watermark_input *in = &combine->inputs[input];
    if (watermark_ms <= in->watermark_ms) {
        combine->ignored += watermark_ms < in->watermark_ms;
        return (struct watermark_change){0};
    }
    in->watermark_ms = watermark_ms;
    in->since_ns = now_ns;
    align(combine, in);
    return (struct watermark_change){.advanced = advance_to_minimum(combine)};
}

struct watermark_change watermark_combine_idle(struct watermark_combine *combine, int32_t input, int64_t now_ns) {
    struct watermark_input *in = &combine->inputs[input];
    if (in->idle) { return (struct watermark_change){0}; }
    const bool held = in->watermark_ms == combine->watermark_ms;
    in->idle = true;
    in->aligned = false;
    in->since_ns = now_ns;
    combine->n_idle++;
    combine->idle = combine->n_idle == combine->n_inputs;
    return (struct watermark_change){
        .advanced = combine->idle ? held && advance_to_maximum(combine) : advance_to_minimum(combine),
        .idle = combine->idle,
    };
}

int32_t watermark_combine_holder(const struct watermark_combine *combine) {
    int32_t holder = -1;
    for (int32_t i = 0; i < combine->n_inputs; i++) {
        const struct watermark_input *in = &combine->inputs[i];
        if (in->aligned && (holder < 0 || in->watermark_ms < combine->inputs[holder].watermark_ms)) { holder = i; }
    }
    return holder;
}
