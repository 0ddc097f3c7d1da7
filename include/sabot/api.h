/* SABOT_API marks what the shared library exports: the functions declared under include/sabot, and nothing else. */
#ifndef SABOT_API_H
#define SABOT_API_H

#if defined(__GNUC__)
#define SABOT_API __attribute__((visibility("default")))
#else
#define SABOT_API
#endif

#endif
