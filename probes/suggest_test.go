package probes

import "testing"

// TestVariantOf checks which names are suggested for a function that does not exist.
func TestVariantOf(t *testing.T) {
	names := []string{
		"finish_task_switch.isra.0", "finish_task_switch.cold", "kmalloc_noprof", "__kvmalloc_noprof", "__x64_sys_read",
		"do_exit", "try_to_wake_up.constprop.0", "only.cold", "a.part.1", "a.isra.0",
	}
	for name, want := range map[string]string{
		"finish_task_switch": "finish_task_switch.isra.0", "kmalloc": "kmalloc_noprof", "kvmalloc": "__kvmalloc_noprof",
		"sys_read": "__x64_sys_read", "read": "__x64_sys_read", "exit": "do_exit", "try_to_wake_up": "try_to_wake_up.constprop.0",
		"only": "", "a": "a.isra.0", "finish_task": "", "vfs_read": "",
	} {
		if got := variantOf(name, names); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}
