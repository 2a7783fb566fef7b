package kernel

import (
	"os"

	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/probes"
)

// featureRow describes when a feature was added, and how to detect it in a kernel's
// BTF.
type featureRow struct {
	name  probes.Feature
	since release
	arm64 release // the release for arm64, if it differs
	until release // the release without the feature again, if there is one
	// needs is a name that is in the kernel's BTF if and only if the feature was built
	// in. It is looked up if the release is recent enough.
	needs string
	// backport is a name in BTF that shows that an older kernel has the feature too.
	backport string
	// probe asks the running kernel. It is called if the other columns find the feature.
	probe func() bool
}

// release is the major and minor number of a kernel release.
type release struct{ major, minor uint8 }

func (r release) version() probes.Version {
	return probes.Version{Major: int(r.major), Minor: int(r.minor)}
}

// featureTable is in the order of package probes. Other code must not compare releases:
// a row also finds a backport, and frozen kernels record it. Helpers are constants of
// enum bpf_func_id, so backported helpers can be found in BTF. A row without a name and
// without a probe is about behaviour that only the release tells.
var featureTable = []featureRow{
	{name: probes.FeatRingBuf, since: v(5, 8)},
	{name: probes.FeatLoop, since: v(5, 17), backport: "BPF_FUNC_loop"},
	{name: probes.FeatForEachMap, since: v(5, 13), backport: "BPF_FUNC_for_each_map_elem"},
	{name: probes.FeatTaskBTF, since: v(5, 11), backport: "BPF_FUNC_get_current_task_btf"},
	{name: probes.FeatTaskRegs, since: v(5, 15), backport: "BPF_FUNC_task_pt_regs"},
	{name: probes.FeatFuncIP, since: v(5, 15), backport: "BPF_FUNC_get_func_ip"},
	{name: probes.FeatCookie, since: v(5, 15), backport: "BPF_FUNC_get_attach_cookie"},
	{name: probes.FeatLookupPerCPU, since: v(5, 19), backport: "BPF_FUNC_map_lookup_percpu_elem"},
	{name: probes.FeatKtimeTai, since: v(6, 1), backport: "BPF_FUNC_ktime_get_tai_ns"},
	{name: probes.FeatRdonlyCast, since: v(6, 2), backport: "bpf_rdonly_cast", probe: compiles},
	{name: probes.FeatKprobeMulti, since: v(5, 18), arm64: v(6, 0), needs: "bpf_kprobe_multi_link", backport: "bpf_kprobe_multi_link"},
	{name: probes.FeatKprobeSession, since: v(6, 10), needs: "bpf_kprobe_multi_link"},
	{name: probes.FeatUprobeMulti, since: v(6, 6), needs: "bpf_uprobe_multi_link", backport: "bpf_uprobe_multi_link"},
	{name: probes.FeatTracingMulti, since: v(7, 2), needs: "bpf_tracing_multi_link", backport: "bpf_tracing_multi_link"},
	{name: probes.FeatSetReg, since: v(6, 19), needs: "kprobe_write_ctx"},
	{name: probes.FeatSleepUprobe, since: v(6, 0)},
	{name: probes.FeatSleepSyscall, since: v(7, 2), needs: "trace_call_bpf_faultable", backport: "trace_call_bpf_faultable"},
	{name: probes.FeatFentry, since: v(5, 5), arm64: v(6, 0)},
	{name: probes.FeatKprobe, since: v(4, 1), needs: "register_kprobe"},
	{name: probes.FeatISAv4, since: v(6, 6)},
	{name: probes.FeatAtomicFetch, since: v(5, 12), arm64: v(5, 18)},
	{name: probes.FeatNetfilter, since: v(6, 4), needs: "bpf_nf_ctx", backport: "bpf_nf_ctx"},
	{name: probes.FeatTCX, since: v(6, 6), needs: "tcx_link", backport: "tcx_link"},
	{name: probes.FeatSocketStorage, since: v(5, 11), probe: iteratesStorage},
	{name: probes.FeatNoReentry, since: v(5, 12), backport: "recursion_misses"},
	{name: probes.FeatStructArgs, since: v(6, 1), arm64: v(6, 5)},
	{name: probes.FeatPrivateStack, since: v(6, 13), backport: "priv_stack_ptr"},
	{name: probes.FeatPreemptSyscall, since: v(7, 0)},
	{name: probes.FeatSyscallStack, since: v(6, 12)},
	{name: probes.FeatUprobeMultiPID, since: v(6, 10)},
	{name: probes.FeatUprobeFuncIP, since: v(6, 6), backport: "is_uprobe"},
	{name: probes.FeatSockAddrErrno, since: v(6, 1), backport: "cgroup_common_func_proto"},
	{name: probes.FeatSessionOverlap, since: v(6, 14)},
	{name: probes.FeatIntPointers, since: v(5, 17)},
	{name: probes.FeatIterTask, since: v(6, 1), backport: "BPF_TASK_ITER_TGID"},
	{name: probes.FeatMemcg, since: v(5, 11)},
	{name: probes.FeatExactMisses, since: v(5, 14)},
	{name: probes.FeatLongKeys, since: v(5, 11)},
	{name: probes.FeatAllocAnywhere, since: v(6, 1), backport: "bpf_mem_alloc_init"},
	{name: probes.FeatContextArg, since: v(6, 8), backport: "btf_find_next_decl_tag"},
	{name: probes.FeatVarStack, since: v(5, 12)},
	{name: probes.FeatUnwrittenStack, since: v(6, 3)},
	{name: probes.FeatBackingBit24, since: v(6, 14)},
	{name: probes.FeatSocketCookie, since: v(5, 12), backport: "bpf_get_socket_ptr_cookie"},
	{name: probes.FeatPinnedStrings, since: v(5, 12)},
	{name: probes.FeatTracepointKfunc, since: v(6, 12)},
	{name: probes.FeatShortComm, since: v(5, 19), until: v(6, 4)},
	{name: probes.FeatPathTail, since: v(5, 14)},
	{name: probes.FeatStrstr, since: v(6, 17), needs: "bpf_strstr", backport: "bpf_strstr"},
	{name: probes.FeatTaskFromPID, since: v(6, 2), needs: "bpf_task_from_pid", backport: "bpf_task_from_pid"},
	{name: probes.FeatTaskFromVPID, since: v(6, 13), needs: "bpf_task_from_vpid", backport: "bpf_task_from_vpid"},
}

func v(major, minor uint8) release { return release{major, minor} }

func featureOf(f probes.Feature) *featureRow {
	for i := range featureTable {
		if featureTable[i].name == f {
			return &featureTable[i]
		}
	}
	return nil
}

func (r *featureRow) sinceOn(arch string) probes.Version {
	if arch == "arm64" && r.arm64 != (release{}) {
		return r.arm64.version()
	}
	return r.since.version()
}

// Since returns the first release with a feature, and whether the kernel is older.
func (k *Kernel) Since(f probes.Feature) (since string, older bool) {
	if r := featureOf(f); r != nil {
		since := r.sinceOn(k.Arch())
		return since.String(), k.Release().Less(since)
	}
	return "", false
}

// Has reports whether the kernel has a feature. It depends on the release. BTF is used
// for features that can be configured or may have been backported.
func (k *Kernel) Has(f probes.Feature) bool {
	if got, ok := k.features.Load(f); ok {
		return got.(bool)
	}
	got := k.has(f)
	k.features.Store(f, got)
	return got
}

func (k *Kernel) has(f probes.Feature) bool {
	facts, err := k.facts.Get()
	if err != nil {
		return false
	}
	if facts.features != nil {
		return facts.features[f]
	}
	switch f {
	case probes.FeatPreempt:
		return preemptible()
	case probes.FeatRedZoneLost:
		return facts.arch == "amd64" && uprobeCall() == unix.ENXIO
	case probes.FeatNop10:
		return facts.arch == "amd64" && uprobeCall() == unix.EPROTO
	}
	r := featureOf(f)
	if r == nil {
		return false
	}
	old := facts.release.Less(r.sinceOn(facts.arch))
	if r.until != (release{}) && !facts.release.Less(r.until.version()) {
		return false
	}
	name, got := r.needs, !old
	if old {
		name = r.backport
	}
	if name != "" {
		if set, err := k.btf.Get(); err == nil { // without BTF, only the release is known
			got = set.vmlinux.mentions(name)
		}
	}
	return got && (r.probe == nil || r.probe())
}

// compiles reports whether the kernel compiles programs. Others cannot call its functions.
func compiles() bool {
	text, err := os.ReadFile("/proc/sys/net/core/bpf_jit_enable")
	return err != nil || len(text) == 0 || text[0] != '0'
}
