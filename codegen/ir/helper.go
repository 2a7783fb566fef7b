package ir

// Helper is a function of the kernel that programs call by number.
type Helper struct {
	ID     int
	Name   string
	Args   int
	Result Type
	Effect Effect // 0: it returns the same throughout a run of the program
	Since  string // first Linux release that has it; "" if it is 5.10 or older
	// Out is the index of the argument that points to memory that the helper writes. It
	// is noOut if the helper writes none. It is anyOut if the helper may write all
	// memory to which it receives a pointer, and change maps.
	Out int
	// Sized is set if the argument after Out is the number of bytes that it writes.
	Sized bool
}

const (
	noOut  = -1
	anyOut = -2
)

// The helpers that the compiler uses. Numbers and releases are those of
// include/uapi/linux/bpf.h.
var (
	MapLookup          = add(Helper{1, "map_lookup_elem", 2, PtrMapNil, Reads | Writes, "", noOut, false})
	MapUpdate          = add(Helper{2, "map_update_elem", 4, Int, Reads | Writes, "", noOut, false})
	MapDelete          = add(Helper{3, "map_delete_elem", 2, Int, Reads | Writes, "", noOut, false})
	KtimeGetNs         = add(Helper{5, "ktime_get_ns", 0, Int, Reads, "", noOut, false})
	TracePrintk        = add(Helper{6, "trace_printk", -1, Int, Reads | Writes, "", noOut, false})
	PrandomU32         = add(Helper{7, "get_prandom_u32", 0, Int, Reads | Writes, "", noOut, false})
	SmpProcessorID     = add(Helper{8, "get_smp_processor_id", 0, Int, 0, "", anyOut, false})
	CurrentPidTgid     = add(Helper{14, "get_current_pid_tgid", 0, Int, 0, "", anyOut, false})
	CurrentUidGid      = add(Helper{15, "get_current_uid_gid", 0, Int, 0, "", anyOut, false})
	CurrentComm        = add(Helper{16, "get_current_comm", 2, Int, Reads | Writes, "", 0, true})
	StackID            = add(Helper{27, "get_stackid", 3, Int, Reads | Writes, "", noOut, false})
	CurrentTask        = add(Helper{35, "get_current_task", 0, Int, 0, "", anyOut, false})
	CurrentUnderCgroup = add(Helper{37, "current_task_under_cgroup", 2, Int, Reads, "", noOut, false})
	NumaNodeID         = add(Helper{42, "get_numa_node_id", 0, Int, 0, "", anyOut, false})
	SocketCookie       = add(Helper{46, "get_socket_cookie", 1, Int, Reads, "", noOut, false})
	PerfProgRead       = add(Helper{56, "perf_prog_read_value", 3, Int, Reads | Writes, "", 1, false})
	OverrideReturn     = add(Helper{58, "override_return", 2, Int, Reads | Writes, "", 0, false})
	GetStack           = add(Helper{67, "get_stack", 4, Int, Reads | Writes, "", 1, true})
	CurrentCgroupID    = add(Helper{80, "get_current_cgroup_id", 0, Int, 0, "", anyOut, false})
	ProbeReadStr       = add(Helper{45, "probe_read_str", 3, Int, Reads | Writes, "", 0, true})
	ProbeRead          = add(Helper{4, "probe_read", 3, Int, Reads | Writes, "", 0, true})
	SendSignal         = add(Helper{109, "send_signal", 1, Int, Reads | Writes, "", noOut, false})
	ReadUser           = add(Helper{112, "probe_read_user", 3, Int, Reads | Writes, "", 0, true})
	ReadKernel         = add(Helper{113, "probe_read_kernel", 3, Int, Reads | Writes, "", 0, true})
	ReadUserStr        = add(Helper{114, "probe_read_user_str", 3, Int, Reads | Writes, "", 0, true})
	ReadKernelStr      = add(Helper{115, "probe_read_kernel_str", 3, Int, Reads | Writes, "", 0, true})
	SendSignalThread   = add(Helper{117, "send_signal_thread", 1, Int, Reads | Writes, "", noOut, false})
	Jiffies64          = add(Helper{118, "jiffies64", 0, Int, Reads, "", noOut, false})
	NsPidTgid          = add(Helper{120, "get_ns_current_pid_tgid", 4, Int, Reads | Writes, "", 2, false})
	KtimeBootNs        = add(Helper{125, "ktime_get_boot_ns", 0, Int, Reads, "", noOut, false})
	RingOutput         = add(Helper{130, "ringbuf_output", 4, Int, Reads | Writes, "", noOut, false})
	RingReserve        = add(Helper{131, "ringbuf_reserve", 3, PtrRecNil, Reads | Writes, "", noOut, false})
	RingSubmit         = add(Helper{132, "ringbuf_submit", 2, Void, Reads | Writes, "", anyOut, false})
	RingDiscard        = add(Helper{133, "ringbuf_discard", 2, Void, Reads | Writes, "", anyOut, false})
	RingQuery          = add(Helper{134, "ringbuf_query", 2, Int, Reads, "", noOut, false})
	GetTaskStack       = add(Helper{141, "get_task_stack", 4, Int, Reads | Writes, "", 1, true})
	DPath              = add(Helper{147, "d_path", 3, Int, Reads | Writes, "", 1, false})
	ProbeWriteUser     = add(Helper{36, "probe_write_user", 3, Int, Reads | Writes, "", noOut, false})
	CopyFromUser       = add(Helper{148, "copy_from_user", 3, Int, Reads | Writes, "", 0, true})
	PerCPUPtr          = add(Helper{153, "per_cpu_ptr", 2, PtrMapNil, Reads, "", noOut, false})
	ThisCPUPtr         = add(Helper{154, "this_cpu_ptr", 1, PtrBTF, Reads, "", noOut, false})
	CurrentTaskBTF     = add(Helper{158, "get_current_task_btf", 0, PtrBTF, 0, "5.11", anyOut, false})
	KtimeCoarseNs      = add(Helper{160, "ktime_get_coarse_ns", 0, Int, Reads, "5.11", noOut, false})
	ForEachMapElem     = add(Helper{164, "for_each_map_elem", 4, Int, Reads | Writes, "5.13", anyOut, false})
	SysBpf             = add(Helper{166, "sys_bpf", 3, Int, Reads | Writes, "5.14", anyOut, false})
	GetFuncIP          = add(Helper{173, "get_func_ip", 1, Int, 0, "5.15", anyOut, false})
	AttachCookie       = add(Helper{174, "get_attach_cookie", 1, Int, 0, "5.15", anyOut, false})
	TaskPtRegs         = add(Helper{175, "task_pt_regs", 1, PtrBTF, 0, "5.15", anyOut, false})
	TraceVprintk       = add(Helper{177, "trace_vprintk", 4, Int, Reads | Writes, "5.16", noOut, false})
	Loop               = add(Helper{181, "loop", 4, Int, Reads | Writes, "5.17", anyOut, false})
	Strncmp            = add(Helper{182, "strncmp", 3, Int, Reads, "5.17", noOut, false})
	GetFuncArg         = add(Helper{183, "get_func_arg", 3, Int, Reads | Writes, "5.17", 2, false})
	GetFuncRet         = add(Helper{184, "get_func_ret", 2, Int, Reads | Writes, "5.17", 1, false})
	LookupPerCPU       = add(Helper{195, "map_lookup_percpu_elem", 3, PtrMapNil, Reads, "5.19", noOut, false})
	KtimeTaiNs         = add(Helper{208, "ktime_get_tai_ns", 0, Int, Reads, "6.1", noOut, false})
	SeqWrite           = add(Helper{127, "seq_write", 3, Int, Reads | Writes, "", noOut, false})
	SkbOutput          = add(Helper{111, "skb_output", 5, Int, Reads | Writes, "", noOut, false})
	SkbLoadBytes       = add(Helper{26, "skb_load_bytes", 4, Int, Reads | Writes, "", 2, false})
	SkLookupTCP        = add(Helper{84, "sk_lookup_tcp", 5, PtrMapNil, Reads | Writes, "", noOut, false})
	SkLookupUDP        = add(Helper{85, "sk_lookup_udp", 5, PtrMapNil, Reads | Writes, "", noOut, false})
	SkRelease          = add(Helper{86, "sk_release", 1, Int, Reads | Writes, "", noOut, false})
	SkAncestorCgroupID = add(Helper{129, "sk_ancestor_cgroup_id", 2, Int, Reads, "", noOut, false})
	SetRetval          = add(Helper{187, "set_retval", 1, Int, Reads | Writes, "", 0, false})
)

// Context returns the index of the argument that h passes on to a callback, or -1 if h
// calls none.
func (h *Helper) Context() int {
	switch h {
	case Loop, ForEachMapElem:
		return 2
	}
	return -1
}

// WritesAny reports whether h may change maps and write to any memory that it is passed
// a pointer to.
func (h *Helper) WritesAny() bool { return h.Out == anyOut }

var helpers []*Helper

// add adds h to the list of all helpers.
func add(h Helper) *Helper {
	helpers = append(helpers, &h)
	return &h
}

// Helpers returns all helpers.
func Helpers() []*Helper { return helpers }
