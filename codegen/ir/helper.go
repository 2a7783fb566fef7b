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
}

// The helpers that lowering uses. Numbers and releases: include/uapi/linux/bpf.h.
var (
	MapLookup          = &Helper{1, "map_lookup_elem", 2, PtrMapNil, Reads | Writes, ""}
	MapUpdate          = &Helper{2, "map_update_elem", 4, Int, Reads | Writes, ""}
	MapDelete          = &Helper{3, "map_delete_elem", 2, Int, Reads | Writes, ""}
	KtimeGetNs         = &Helper{5, "ktime_get_ns", 0, Int, Reads, ""}
	TracePrintk        = &Helper{6, "trace_printk", -1, Int, Reads | Writes, ""}
	PrandomU32         = &Helper{7, "get_prandom_u32", 0, Int, Reads | Writes, ""}
	SmpProcessorID     = &Helper{8, "get_smp_processor_id", 0, Int, 0, ""}
	CurrentPidTgid     = &Helper{14, "get_current_pid_tgid", 0, Int, 0, ""}
	CurrentUidGid      = &Helper{15, "get_current_uid_gid", 0, Int, 0, ""}
	CurrentComm        = &Helper{16, "get_current_comm", 2, Int, Reads | Writes, ""}
	StackID            = &Helper{27, "get_stackid", 3, Int, Reads | Writes, ""}
	CurrentTask        = &Helper{35, "get_current_task", 0, Int, 0, ""}
	CurrentUnderCgroup = &Helper{37, "current_task_under_cgroup", 2, Int, Reads, ""}
	NumaNodeID         = &Helper{42, "get_numa_node_id", 0, Int, 0, ""}
	SocketCookie       = &Helper{46, "get_socket_cookie", 1, Int, Reads, ""}
	PerfProgRead       = &Helper{56, "perf_prog_read_value", 3, Int, Reads | Writes, ""}
	OverrideReturn     = &Helper{58, "override_return", 2, Int, Reads | Writes, ""}
	GetStack           = &Helper{67, "get_stack", 4, Int, Reads | Writes, ""}
	CurrentCgroupID    = &Helper{80, "get_current_cgroup_id", 0, Int, 0, ""}
	ProbeReadStr       = &Helper{45, "probe_read_str", 3, Int, Reads | Writes, ""}
	ProbeRead          = &Helper{4, "probe_read", 3, Int, Reads | Writes, ""}
	SendSignal         = &Helper{109, "send_signal", 1, Int, Reads | Writes, ""}
	ReadUser           = &Helper{112, "probe_read_user", 3, Int, Reads | Writes, ""}
	ReadKernel         = &Helper{113, "probe_read_kernel", 3, Int, Reads | Writes, ""}
	ReadUserStr        = &Helper{114, "probe_read_user_str", 3, Int, Reads | Writes, ""}
	ReadKernelStr      = &Helper{115, "probe_read_kernel_str", 3, Int, Reads | Writes, ""}
	SendSignalThread   = &Helper{117, "send_signal_thread", 1, Int, Reads | Writes, ""}
	Jiffies64          = &Helper{118, "jiffies64", 0, Int, Reads, ""}
	NsPidTgid          = &Helper{120, "get_ns_current_pid_tgid", 4, Int, Reads | Writes, ""}
	KtimeBootNs        = &Helper{125, "ktime_get_boot_ns", 0, Int, Reads, ""}
	RingOutput         = &Helper{130, "ringbuf_output", 4, Int, Reads | Writes, ""}
	RingReserve        = &Helper{131, "ringbuf_reserve", 3, PtrRecNil, Reads | Writes, ""}
	RingSubmit         = &Helper{132, "ringbuf_submit", 2, Void, Reads | Writes, ""}
	RingDiscard        = &Helper{133, "ringbuf_discard", 2, Void, Reads | Writes, ""}
	RingQuery          = &Helper{134, "ringbuf_query", 2, Int, Reads, ""}
	GetTaskStack       = &Helper{141, "get_task_stack", 4, Int, Reads | Writes, ""}
	DPath              = &Helper{147, "d_path", 3, Int, Reads | Writes, ""}
	ProbeWriteUser     = &Helper{36, "probe_write_user", 3, Int, Reads | Writes, ""}
	PerCPUPtr          = &Helper{153, "per_cpu_ptr", 2, PtrMapNil, Reads, ""}
	ThisCPUPtr         = &Helper{154, "this_cpu_ptr", 1, PtrBTF, Reads, ""}
	CurrentTaskBTF     = &Helper{158, "get_current_task_btf", 0, PtrBTF, 0, "5.11"}
	KtimeCoarseNs      = &Helper{160, "ktime_get_coarse_ns", 0, Int, Reads, "5.11"}
	ForEachMapElem     = &Helper{164, "for_each_map_elem", 4, Int, Reads | Writes, "5.13"}
	SysBpf             = &Helper{166, "sys_bpf", 3, Int, Reads | Writes, "5.14"}
	GetFuncIP          = &Helper{173, "get_func_ip", 1, Int, 0, "5.15"}
	AttachCookie       = &Helper{174, "get_attach_cookie", 1, Int, 0, "5.15"}
	TaskPtRegs         = &Helper{175, "task_pt_regs", 1, PtrBTF, 0, "5.15"}
	TraceVprintk       = &Helper{177, "trace_vprintk", 4, Int, Reads | Writes, "5.16"}
	Loop               = &Helper{181, "loop", 4, Int, Reads | Writes, "5.17"}
	Strncmp            = &Helper{182, "strncmp", 3, Int, Reads, "5.17"}
	GetFuncArg         = &Helper{183, "get_func_arg", 3, Int, Reads | Writes, "5.17"}
	GetFuncRet         = &Helper{184, "get_func_ret", 2, Int, Reads | Writes, "5.17"}
	LookupPerCPU       = &Helper{195, "map_lookup_percpu_elem", 3, PtrMapNil, Reads, "5.19"}
	KtimeTaiNs         = &Helper{208, "ktime_get_tai_ns", 0, Int, Reads, "6.1"}
	SeqWrite           = &Helper{127, "seq_write", 3, Int, Reads | Writes, ""}
	SkbOutput          = &Helper{111, "skb_output", 5, Int, Reads | Writes, ""}
	SkbLoadBytes       = &Helper{26, "skb_load_bytes", 4, Int, Reads | Writes, ""}
	CopyFromUser       = &Helper{148, "copy_from_user", 3, Int, Reads | Writes, ""}
)

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
