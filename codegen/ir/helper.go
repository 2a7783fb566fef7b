package ir

// Helper is a kernel helper function: its number, its cost class and since when
// the kernel has it.
type Helper struct {
	ID     int
	Name   string
	Args   int
	Result Type
	Effect Effect // 0: pure within one run of the program
	Since  string // first Linux release that has it, "" if older than 5.10
	// Out is the argument through which it writes the program's memory, noOut, or
	// anyOut: whatever is passed may be written, and maps changed.
	Out int
	// Sized says that the argument after Out is the number of bytes written.
	Sized bool
}

const (
	noOut  = -1
	anyOut = -2
)

// The helpers that lowering uses. Numbers and releases: include/uapi/linux/bpf.h.
var (
	MapLookup          = &Helper{1, "map_lookup_elem", 2, PtrMapNil, Reads | Writes, "", noOut, false}
	MapUpdate          = &Helper{2, "map_update_elem", 4, Int, Reads | Writes, "", noOut, false}
	MapDelete          = &Helper{3, "map_delete_elem", 2, Int, Reads | Writes, "", noOut, false}
	KtimeGetNs         = &Helper{5, "ktime_get_ns", 0, Int, Reads, "", noOut, false}
	TracePrintk        = &Helper{6, "trace_printk", -1, Int, Reads | Writes, "", noOut, false}
	PrandomU32         = &Helper{7, "get_prandom_u32", 0, Int, Reads | Writes, "", noOut, false}
	SmpProcessorID     = &Helper{8, "get_smp_processor_id", 0, Int, 0, "", anyOut, false}
	CurrentPidTgid     = &Helper{14, "get_current_pid_tgid", 0, Int, 0, "", anyOut, false}
	CurrentUidGid      = &Helper{15, "get_current_uid_gid", 0, Int, 0, "", anyOut, false}
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
	LookupPerCPU       = &Helper{195, "map_lookup_percpu_elem", 3, PtrMapNil, Reads, "5.19", noOut, false}
	KtimeTaiNs         = &Helper{208, "ktime_get_tai_ns", 0, Int, Reads, "6.1", noOut, false}
	SeqWrite           = &Helper{127, "seq_write", 3, Int, Reads | Writes, "", noOut, false}
	SkbOutput          = &Helper{111, "skb_output", 5, Int, Reads | Writes, "", noOut, false}
	SkbLoadBytes       = &Helper{26, "skb_load_bytes", 4, Int, Reads | Writes, "", 2, false}
	CopyFromUser       = &Helper{148, "copy_from_user", 3, Int, Reads | Writes, "", 0, true}
)

// WritesAny reports whether the helper may write whatever it is passed a pointer
// to, and change maps.
func (h *Helper) WritesAny() bool { return h.Out == anyOut }

// Helpers lists all of the above, by which Parse finds them by name.
func Helpers() []*Helper {
	return []*Helper{
		MapLookup, MapUpdate, MapDelete, KtimeGetNs, TracePrintk, PrandomU32, SmpProcessorID, CurrentPidTgid,
		CurrentUidGid, CurrentComm, StackID, CurrentTask, CurrentUnderCgroup, NumaNodeID, SocketCookie,
		PerfProgRead, OverrideReturn, GetStack, CurrentCgroupID, ProbeReadStr, ProbeRead, SendSignal, ReadUser,
		ReadKernel, ReadUserStr, ReadKernelStr, SendSignalThread, Jiffies64, NsPidTgid, KtimeBootNs, RingOutput,
		RingReserve, RingSubmit, RingDiscard, RingQuery, GetTaskStack, DPath, ProbeWriteUser, PerCPUPtr, ThisCPUPtr,
		CurrentTaskBTF, KtimeCoarseNs, ForEachMapElem, SysBpf, GetFuncIP, AttachCookie, TaskPtRegs, TraceVprintk,
		Loop, Strncmp, GetFuncArg, GetFuncRet, LookupPerCPU, KtimeTaiNs, SeqWrite, SkbOutput, SkbLoadBytes, CopyFromUser,
	}
}
