package tetragon

import (
	"sort"

	"github.com/gotrace/gotrace/lang/policy/tetragon"
	"github.com/gotrace/gotrace/runtime/value"
)

// perfTypes are the types of perf events that are not those of a device.
var perfTypes = map[uint64]string{0: "PERF_TYPE_HARDWARE", 1: "PERF_TYPE_SOFTWARE", 2: "PERF_TYPE_TRACEPOINT", 3: "PERF_TYPE_HW_CACHE", 4: "PERF_TYPE_RAW", 5: "PERF_TYPE_BREAKPOINT"}

// kernelJSON returns an object of the kernel.
func kernelJSON(a *tetragon.Arg, vs []value.Value) object {
	n := func(i int) uint64 { return nth(vs, i) }
	space := func(i int) object {
		return object{{"level", int32(n(i))}, {"uid", n(i + 1)}, {"gid", n(i + 2)},
			{"ns", object{{"inum", n(i + 3)}, {"is_host", n(i+3) == uint64(hostSpaces()[9])}}}}
	}
	switch a.Show {
	case tetragon.ShowUserNS:
		return object{{"user_ns_arg", space(0)}}
	case tetragon.ShowCred:
		var caps object
		caps.add("permitted", capabilityNames(n(9)))
		caps.add("effective", capabilityNames(n(10)))
		caps.add("inheritable", capabilityNames(n(11)))
		o := object{{"uid", n(0)}, {"gid", n(1)}, {"euid", n(4)}, {"egid", n(5)}, {"suid", n(2)}, {"sgid", n(3)}, {"fsuid", n(6)}, {"fsgid", n(7)}}
		if n(8) != 0 {
			o.add("securebits", secureBits(n(8)))
		}
		o.add("caps", caps)
		o.add("user_ns", space(12))
		return object{{"process_credentials_arg", o}}
	case tetragon.ShowBPFAttr:
		return object{{"bpf_attr_arg", object{{"ProgType", programType(n(0))}, {"InsnCnt", n(1)}, {"ProgName", text(vs[2])}}}}
	case tetragon.ShowBPFMap:
		return object{{"bpf_map_arg", object{{"MapType", mapType(n(0))}, {"KeySize", n(1)}, {"ValueSize", n(2)}, {"MaxEntries", n(3)}, {"MapName", text(vs[4])}}}}
	case tetragon.ShowBPFProg:
		return object{{"bpf_prog_arg", object{{"ProgType", programType(n(0))}, {"InsnCnt", n(1)}, {"ProgName", text(vs[2])}}}}
	case tetragon.ShowPerfEvent:
		var o object
		o.add("KprobeFunc", text(vs[2]))
		if name := perfTypes[n(0)]; name != "" {
			o.add("Type", name)
		} else {
			o.add("Type", "PERF_TYPE_"+unsigned(n(0)))
		}
		o.add("Config", unsigned(n(1)))
		o.add("ProbeOffset", unsigned(n(3)))
		return object{{"perf_event_arg", o}}
	case tetragon.ShowModule:
		o := object{{"name", text(vs[0])}, {"signature_ok", n(1) != 0}}
		o.add("tainted", taints(n(2)))
		return object{{"module_arg", o}}
	}
	return object{{"error_arg", object{{"message", "the type " + a.Type + " cannot be shown"}}}}
}

func secureBits(n uint64) []string {
	var list []string
	for i, name := range []string{"SecBitNoRoot", "SecBitNoRootLocked", "SecBitNoSetUidFixup", "SecBitNoSetUidFixupLocked", "SecBitKeepCaps", "SecBitKeepCapsLocked", "SecBitNoCapAmbientRaise", "SecBitNoCapAmbientRaiseLocked"} {
		if n>>i&1 != 0 {
			list = append(list, name)
		}
	}
	return list
}

// taints returns the reasons why a module taints the kernel.
func taints(n uint64) []string {
	names := map[int]string{0: "TAINT_PROPRIETARY_MODULE", 1: "TAINT_FORCED_MODULE", 2: "TAINT_FORCED_UNLOAD_MODULE", 10: "TAINT_STAGED_MODULE", 12: "TAINT_OUT_OF_TREE_MODULE",
		13: "TAINT_UNSIGNED_MODULE", 15: "TAINT_KERNEL_LIVE_PATCH_MODULE", 18: "TAINT_TEST_MODULE"}
	var list []string
	for bit, name := range names {
		if n>>bit&1 != 0 {
			list = append(list, name)
		}
	}
	sort.Strings(list)
	return list
}
