/* Counts executed guest instructions and system calls in QEMU's user mode, and logs both whenever the guest asks for it.
 *
 *     cc -shared -fPIC -O2 tcg_count.c -o libtcg_count.so
 *     qemu-aarch64 -plugin libtcg_count.so -d plugin -D log ...
 *     qemu-x86_64 -plugin libtcg_count.so,getppid=110 -d plugin -D log ...
 *
 * The guest asks by calling getppid(), which programs have no other use for: one line with the instructions and the
 * system calls since the start goes to the log. The counts are exact for a guest of one thread; threads that run at
 * once on several cores may lose some, so bind QEMU to one core. What the kernel does is not counted.
 *
 * Debian ships no header of the plugin interface; what is used of it is declared here.
 * Source: include/qemu/qemu-plugin.h of QEMU 7.2, interface version 1.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PLUGIN_INLINE_ADD_U64 = 0 };
enum { AARCH64_GETPPID = 173 }; /* used unless the argument getppid=NUMBER names another architecture's */

struct qemu_plugin_tb;
typedef struct qemu_info_t qemu_info_t;

extern void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id, void (*cb)(uint64_t, struct qemu_plugin_tb *));
extern void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *tb, int op, void *counter, uint64_t add);
extern void qemu_plugin_register_vcpu_syscall_cb(
    uint64_t id,
    void (*cb)(uint64_t, unsigned, int64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t));
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
extern void qemu_plugin_outs(const char *text);

__attribute__((visibility("default"))) int qemu_plugin_version = 1;

static uint64_t instructions, calls;
static int64_t getppid_number = AARCH64_GETPPID;

static void count_block(uint64_t id, struct qemu_plugin_tb *tb)
{
    (void)id;
    qemu_plugin_register_vcpu_tb_exec_inline(tb, PLUGIN_INLINE_ADD_U64, &instructions, qemu_plugin_tb_n_insns(tb));
}

static void log_on_request(uint64_t id, unsigned vcpu, int64_t number, uint64_t a1, uint64_t a2, uint64_t a3,
                           uint64_t a4, uint64_t a5, uint64_t a6, uint64_t a7, uint64_t a8)
{
    char line[48];

    (void)id, (void)vcpu, (void)a1, (void)a2, (void)a3, (void)a4, (void)a5, (void)a6, (void)a7, (void)a8;
    if (number != getppid_number) {
        calls++;
        return;
    }
    snprintf(line, sizeof line, "%" PRIu64 " %" PRIu64 "\n", instructions, calls);
    qemu_plugin_outs(line);
}

__attribute__((visibility("default"))) int qemu_plugin_install(uint64_t id, const qemu_info_t *info, int argc,
                                                               char **argv)
{
    static const char option[] = "getppid=";
    int i;

    (void)info;
    for (i = 0; i < argc; i++)
        if (strncmp(argv[i], option, sizeof option - 1) == 0)
            getppid_number = strtol(argv[i] + sizeof option - 1, NULL, 10);
    qemu_plugin_register_vcpu_tb_trans_cb(id, count_block);
    qemu_plugin_register_vcpu_syscall_cb(id, log_on_request);
    return 0;
}
