package object

import "github.com/cilium/ebpf"

// The attach types of programs that one link attaches to many functions of the kernel, at
// their calls, their returns or both (a session). Package ebpf has no names for them.
const (
	AttachTraceFEntryMulti   ebpf.AttachType = 59
	AttachTraceFExitMulti    ebpf.AttachType = 60
	AttachTraceFSessionMulti ebpf.AttachType = 61
)
