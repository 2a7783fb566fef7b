package object

// Threads is an array map of one element, mapped into memory, that stands before
// a hash map whose only key is the running thread's ID, and holds most of its
// entries: from the entry to the exit of a call, say. A thread's entry is in one
// of two neighbouring slots, or, if both are taken, in the hash map.
//
// The element starts with the generation in the upper half of a u64, and a u64
// that is not 0 once an entry had to go to the hash map; slots follow behind
// ThreadsHeader bytes. A slot is a u64, the generation and the thread's ID, and a
// value of up to 8 bytes. A slot of an older generation is free, and so is one
// that was never used: to begin a new generation is how user space clears the map.
// ID 0, which all idle CPUs share, is for the hash map only.
type Threads struct {
	Kernel string // name of the kernel map
	Slots  int    // a power of two
}

// Offsets in the element of a Threads map.
const (
	ThreadsGen    = 0
	ThreadsOver   = 8
	ThreadsHeader = 64
)

// Sizes of a slot of a Threads map, and of what precedes the value in it.
const (
	ThreadSlot  = 16
	ThreadValue = 8
)

// ThreadsFirst is the first generation of a session, as it stands in the element.
const ThreadsFirst = 1 << 32

// ThreadBusy marks a slot that is being given to a thread.
const ThreadBusy = 1<<64 - 1

// Size is the size of the element.
func (t *Threads) Size() int { return ThreadsHeader + t.Slots*ThreadSlot }
