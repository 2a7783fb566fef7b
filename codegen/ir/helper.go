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
	MapLookup          = &Helper{1, "map_lookup_elem", 2, PtrMapNil, Reads | Writes, "", noOut, false}
	MapUpdate          = &Helper{2, "map_update_elem", 4, Int, Reads | Writes, "", noOut, false}
	MapDelete          = &Helper{3, "map_delete_elem", 2, Int, Reads | Writes, "", noOut, false}
	KtimeGetNs         = &Helper{5, "ktime_get_ns", 0, Int, Reads, "", noOut, false}
	TracePrintk        = &Helper{6, "trace_printk", -1, Int, Reads | Writes, "", noOut, false}
	PrandomU32         = &Helper{7, "get_prandom_u32", 0, Int, Reads | Writes, "", noOut, false}
	SmpProcessorID     = &Helper{8, "get_smp_processor_id", 0, Int, 0, "", anyOut, false}
	CurrentPidTgid     = &Helper{14, "get_current_pid_tgid", 0, Int, 0, "", anyOut, false}
	CurrentUIDGID      = &Helper{15, "get_current_uid_gid", 0, Int, 0, "", anyOut, false}
	CurrentComm        = &Helper{16, "get_current_comm", 2, Int, Reads | Writes, "", 0, true}
	StackID            = &Helper{27, "get_stackid", 3, Int, Reads | Writes, "", noOut, false}
	CurrentTask        = &Helper{35, "get_current_task", 0, Int, 0, "", anyOut, false}
	CurrentUnderCgroup = &Helper{37, "current_task_under_cgroup", 2, Int, Reads, "", noOut, false}
	NumaNodeID         = &Helper{42, "get_numa_node_id", 0, Int, 0, "", anyOut, false}
	SocketCookie       = &Helper{46, "get_socket_cookie", 1, Int, Reads, "", noOut, false}
	PerfProgRead       = &Helper{56, "perf_prog_read_value", 3, Int, Reads | Writes, "", 1, false}
	OverrideReturn     = &Helper{58, "override_return", 2, Int, Reads | Writes, "", 0, false}
	GetStack           = &Helper{67, "get_stack", 4, Int, Reads | Writes, "", 1, true}
	CurrentCgroupID    = &Helper{80, "get_current_cgroup_id", 0, Int, 0, "", anyOut, false}
	ProbeReadStr       = &Helper{45, "probe_read_str", 3, Int, Reads | Writes, "", 0, true}
	ProbeRead          = &Helper{4, "probe_read", 3, Int, Reads | Writes, "", 0, true}
	SkStorageGet       = &Helper{107, "sk_storage_get", 4, PtrMapNil, Reads | Writes, "", noOut, false}
	SkStorageDelete    = &Helper{108, "sk_storage_delete", 2, Int, Reads | Writes, "", noOut, false}
	SendSignal         = &Helper{109, "send_signal", 1, Int, Reads | Writes, "", noOut, false}
	ReadUser           = &Helper{112, "probe_read_user", 3, Int, Reads | Writes, "", 0, true}
	ReadKernel         = &Helper{113, "probe_read_kernel", 3, Int, Reads | Writes, "", 0, true}
	ReadUserStr        = &Helper{114, "probe_read_user_str", 3, Int, Reads | Writes, "", 0, true}
	ReadKernelStr      = &Helper{115, "probe_read_kernel_str", 3, Int, Reads | Writes, "", 0, true}
	SendSignalThread   = &Helper{117, "send_signal_thread", 1, Int, Reads | Writes, "", noOut, false}
	Jiffies64          = &Helper{118, "jiffies64", 0, Int, Reads, "", noOut, false}
	NsPidTgid          = &Helper{120, "get_ns_current_pid_tgid", 4, Int, Reads | Writes, "", 2, false}
	KtimeBootNs        = &Helper{125, "ktime_get_boot_ns", 0, Int, Reads, "", noOut, false}
	RingOutput         = &Helper{130, "ringbuf_output", 4, Int, Reads | Writes, "", noOut, false}
	RingReserve        = &Helper{131, "ringbuf_reserve", 3, PtrRecNil, Reads | Writes, "", noOut, false}
	RingSubmit         = &Helper{132, "ringbuf_submit", 2, Void, Reads | Writes, "", anyOut, false}
	RingDiscard        = &Helper{133, "ringbuf_discard", 2, Void, Reads | Writes, "", anyOut, false}
	RingQuery          = &Helper{134, "ringbuf_query", 2, Int, Reads, "", noOut, false}
	GetTaskStack       = &Helper{141, "get_task_stack", 4, Int, Reads | Writes, "", 1, true}
	DPath              = &Helper{147, "d_path", 3, Int, Reads | Writes, "", 1, false}
	ProbeWriteUser     = &Helper{36, "probe_write_user", 3, Int, Reads | Writes, "", noOut, false}
	CopyFromUser       = &Helper{148, "copy_from_user", 3, Int, Reads | Writes, "", 0, true}
	PerCPUPtr          = &Helper{153, "per_cpu_ptr", 2, PtrMapNil, Reads, "", noOut, false}
	ThisCPUPtr         = &Helper{154, "this_cpu_ptr", 1, PtrBTF, Reads, "", noOut, false}
	CurrentTaskBTF     = &Helper{158, "get_current_task_btf", 0, PtrBTF, 0, "5.11", anyOut, false}
	KtimeCoarseNs      = &Helper{160, "ktime_get_coarse_ns", 0, Int, Reads, "5.11", noOut, false}
	ForEachMapElem     = &Helper{164, "for_each_map_elem", 4, Int, Reads | Writes, "5.13", anyOut, false}
	SysBpf             = &Helper{166, "sys_bpf", 3, Int, Reads | Writes, "5.14", anyOut, false}
	GetFuncIP          = &Helper{173, "get_func_ip", 1, Int, 0, "5.15", anyOut, false}
	AttachCookie       = &Helper{174, "get_attach_cookie", 1, Int, 0, "5.15", anyOut, false}
	TaskPtRegs         = &Helper{175, "task_pt_regs", 1, PtrBTF, 0, "5.15", anyOut, false}
	TraceVprintk       = &Helper{177, "trace_vprintk", 4, Int, Reads | Writes, "5.16", noOut, false}
	Loop               = &Helper{181, "loop", 4, Int, Reads | Writes, "5.17", anyOut, false}
	Strncmp            = &Helper{182, "strncmp", 3, Int, Reads, "5.17", noOut, false}
	GetFuncArg         = &Helper{183, "get_func_arg", 3, Int, Reads | Writes, "5.17", 2, false}
	GetFuncRet         = &Helper{184, "get_func_ret", 2, Int, Reads | Writes, "5.17", 1, false}
	CopyFromUserTask   = &Helper{191, "copy_from_user_task", 5, Int, Reads | Writes, "5.18", 0, true}
	LookupPerCPU       = &Helper{195, "map_lookup_percpu_elem", 3, PtrMapNil, Reads, "5.19", noOut, false}
	KtimeTaiNs         = &Helper{208, "ktime_get_tai_ns", 0, Int, Reads, "6.1", noOut, false}
	SeqPrintf          = &Helper{126, "seq_printf", 5, Int, Reads | Writes, "", noOut, false}
	SeqWrite           = &Helper{127, "seq_write", 3, Int, Reads | Writes, "", noOut, false}
	SkbOutput          = &Helper{111, "skb_output", 5, Int, Reads | Writes, "", noOut, false}
	SkbLoadBytes       = &Helper{26, "skb_load_bytes", 4, Int, Reads | Writes, "", 2, false}
	SkLookupTCP        = &Helper{84, "sk_lookup_tcp", 5, PtrMapNil, Reads | Writes, "", noOut, false}
	SkLookupUDP        = &Helper{85, "sk_lookup_udp", 5, PtrMapNil, Reads | Writes, "", noOut, false}
	SkRelease          = &Helper{86, "sk_release", 1, Int, Reads | Writes, "", noOut, false}
	SkAncestorCgroupID = &Helper{129, "sk_ancestor_cgroup_id", 2, Int, Reads, "", noOut, false}
	SetRetval          = &Helper{187, "set_retval", 1, Int, Reads | Writes, "", 0, false}
)

// Context returns the index of the argument that h passes on to a callback, or -1 if h
// calls none or is nil.
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

// Helpers returns all helpers, for the parser of the text form.
func Helpers() []*Helper {
	return []*Helper{
		MapLookup, MapUpdate, MapDelete, KtimeGetNs, TracePrintk, PrandomU32, SmpProcessorID,
		CurrentPidTgid, CurrentUIDGID, CurrentComm, StackID, CurrentTask, CurrentUnderCgroup,
		NumaNodeID, SocketCookie, PerfProgRead, OverrideReturn, GetStack, CurrentCgroupID,
		ProbeReadStr, ProbeRead, SendSignal, ReadUser, ReadKernel, ReadUserStr, ReadKernelStr,
		SendSignalThread, Jiffies64, NsPidTgid, KtimeBootNs, RingOutput, RingReserve, RingSubmit,
		RingDiscard, RingQuery, GetTaskStack, DPath, ProbeWriteUser, CopyFromUser, PerCPUPtr,
		ThisCPUPtr, CurrentTaskBTF, KtimeCoarseNs, ForEachMapElem, SysBpf, GetFuncIP, AttachCookie,
		TaskPtRegs, TraceVprintk, Loop, Strncmp, GetFuncArg, GetFuncRet, CopyFromUserTask, LookupPerCPU, KtimeTaiNs,
		SeqPrintf, SeqWrite, SkbOutput, SkbLoadBytes, SkLookupTCP, SkLookupUDP, SkRelease, SkAncestorCgroupID,
		SetRetval, SkStorageGet, SkStorageDelete,
	}
}
