// Package unwind maintains the tables with which BPF programs unwind the stacks of
// processes that were compiled without frame pointers.
//
// The tables are in memory that this process shares with the programs. The memory
// consists of these parts:
//
//   - Rules: the rules of package cfi, 16 bytes each. All files share them, as the same
//     few thousand rules occur everywhere.
//   - Chunks of ChunkSize bytes, allocated when they are needed. They contain segments,
//     which are the tables of a range of a file, and lists, which are the executable
//     mappings of a process.
//   - Processes: a hash map from a process to its list.
//   - Files: a hash map from device and inode to a list of the file's segments, with
//     offsets in the file instead of addresses. Programs look there if the kernel has a
//     mapping that the process's list lacks.
//
// A segment covers a range of a file whose start is a multiple of PageSize. It has one
// word for each page: the rule at the start of the page, and the number of the first
// row in the page. A row consists of the offset in its page, in one byte, and the
// number of a rule. So a program finds the rule of an address with a few loads: the
// page's word, the next page's word, and the rows between them.
//
// The table of a file is built once, when a process first maps the file. Files with the
// same build ID share a table. If a program meets an address without a table, it
// reports that and does not wait.
package unwind

import (
	"encoding/binary"

	"github.com/gotrace/gotrace/runtime/unwind/cfi"
)

// Names of the maps. The runtime creates them, and the programs read them.
const (
	RulesMap  = "unwind_rules"  // array, one element of RulesSize bytes
	ChunksMap = "unwind_chunks" // array of MaxChunks arrays, each with one element of ChunkSize+ChunkSlack bytes
	ProcsMap  = "unwind_procs"  // hash map: u32 process → u64 list
	FilesMap  = "unwind_files"  // hash map: file, see FileDevice → u64 list
)

// Mapped is the flag of the maps that the runtime writes through mapped memory:
// BPF_F_MMAPABLE.
const Mapped = 1 << 10

// Limits, and sizes in bytes. All tables together take at most 64 MiB.
const (
	MaxRules   = 1 << 15
	RulesSize  = MaxRules * RuleSize
	ChunkSize  = 1 << 20
	ChunkSlack = 4096 // so that an access at any offset below ChunkSize is inside
	MaxChunks  = 60
	MaxProcs   = 16 << 10
	MaxFiles   = 8 << 10
	PageSize   = 256 // of the code that one word of a segment covers
	MaxEntries = 1<<maxSearch - 1
	maxSearch  = 12 // iterations of the search in a list
)

// SearchList is the maximum number of iterations of the search in a list. SearchPage is
// that of the search in the rows of a page, eight of which are compared at once.
const (
	SearchList = maxSearch
	SearchPage = PageSize/8 + 1
)

// Offsets in a key of FilesMap, and its size. The inode of a deleted file may be given
// to another one, and a file may be written, so the key has the size and the time of
// the last modification too.
const (
	FileDevice  = 0 // u32: as the kernel numbers it
	FileNsec    = 4 // u32: nanoseconds of the time of modification
	FileInode   = 8
	FileSize    = 16
	FileSec     = 24 // seconds of the time of modification
	FileKeySize = 32
)

// A list is represented by a word: its offset in a chunk, the number of the chunk, and
// the number of its entries. The word is never 0, as no list is empty.
const (
	ListChunk = 32 // bit number
	ListCount = 48
)

// Offsets in an entry of a list. Entries are sorted by address.
const (
	EntryStart  = 0  // u64: the first address
	EntryEnd    = 8  // u64: the address after the last one
	EntryOrigin = 16 // u64: the address of the segment's first page
	EntrySeg    = 24 // u32: the segment's offset in the chunk
	EntryChunk  = 28 // u16
	EntryKind   = 30 // u16
	EntryInode  = 32 // u64: of the file, or 0 if there is none
	EntrySize   = 40
)

// Kinds of entries.
const (
	HasTable     = iota // a segment has the rules
	FramePointer        // code that keeps frame pointers: generated at run time, or by a compiler that emits them
	NoTable             // nothing describes the instructions
	Pending             // the table is being built
	NoRoom              // there was no memory left for the table
	Trampoline          // the return address that the kernel's return probes put in place of a function's own
)

// Offsets in a segment. The words of the pages follow: one more than there are pages.
const (
	SegRules = 0 // u32: offset of the rows' rules in the chunk, u16 each
	SegPCs   = 4 // u32: offset of the rows' offsets in the chunk, u8 each
	SegPages = 8
)

// PageRow is the position in a page's word of the number of its first row. The rule at
// the page's start is in the lower bits.
const PageRow = 16 // bit number

// Offsets in a rule. The fields are those of cfi.Rule. The stack pointer, the frame
// pointer and the base register have fixed numbers. The number of another register is
// FirstSaved plus the number of its word in the kernel's struct pt_regs. Such a
// register is known only in the frame that was interrupted.
const (
	RuleKind  = 0
	RuleReg   = 1
	RuleFP    = 2
	RuleBX    = 3
	RuleCFA   = 4
	RuleAdd   = 8
	RuleRA    = 10
	RuleFPOff = 12
	RuleBXOff = 14
	RuleSize  = 16

	FirstSaved = 64
)

// putRule writes a rule.
func putRule(b []byte, r cfi.Rule, a *Arch) {
	ne := binary.NativeEndian
	b[RuleKind], b[RuleReg], b[RuleFP], b[RuleBX] = byte(r.Kind), a.reg(r.Reg), byte(r.FP), byte(r.BX)
	ne.PutUint32(b[RuleCFA:], uint32(r.CFA))
	ne.PutUint16(b[RuleAdd:], uint16(r.Add))
	ne.PutUint16(b[RuleRA:], uint16(r.RA))
	ne.PutUint16(b[RuleFPOff:], uint16(r.FPOff))
	ne.PutUint16(b[RuleBXOff:], uint16(r.BXOff))
}

// reg returns the number that a rule has for a register.
func (a *Arch) reg(n uint8) byte {
	switch uint64(n) {
	case a.CFI.SP, a.CFI.FP, a.CFI.BX:
		return n
	}
	if int(n) < len(a.regs) {
		return FirstSaved + a.regs[n]/8
	}
	return 255 // no register: a program stops there
}

// Why is the reason why a stack ends. All reasons except Complete are failures.
type Why int

const (
	Complete   Why = iota
	NotUser        // a kernel thread
	Ending         // a process that has given up its memory
	NotPresent     // a page that is not in memory
	Missing        // a table that is not built yet, or a mapping that is not known yet
	Bare           // instructions that no table describes
	Strange        // a rule that is not supported
	Broken         // an impossible frame: the caller's is not above it
	Full           // no memory for the table
	TooDeep
	Narrow   // a 32-bit process
	Probed   // a return probe has replaced the return address
	Unmapped // no mapping has the address, as in the middle of execve
	Running  // another task that does not wait: its registers are not known
	NumWhys
)

func (w Why) String() string {
	return [...]string{
		"complete", "not a user thread", "process is ending", "page not in memory", "table missing: not made yet", "no unwind table for the code",
		"frame description not supported", "frames damaged or not as described", "table missing: no memory left for it",
		"too deep", "32-bit process", "return address replaced by a return probe", "nothing mapped at the address", "thread is running",
	}[w]
}
