package object

// Front is an array map of one element that stands before a hash map of
// aggregations, or of integers to be added up, and takes most additions: looking a key up in the kernel's
// hash costs several times what the addition itself does. Each CPU has a region of
// Slots slots of its own. A slot belongs to one key, and its value is to be
// merged with the values that the hash map has for that key. A key is entered
// into the hash map before it gets a slot, so the hash map knows all keys, and is
// full when it is.
//
// A slot is its generation (u64), the key and the value, in whole words. It
// counts only if its generation is that of the front, which stands in GenMap. So
// one store empties all slots: to begin a new generation is how user space clears
// the map.
type Front struct {
	Kernel     string // name of the kernel map
	Gen        int    // offset of its generation (u64) in GenMap
	Key, Value int    // bytes, as in the hash map
	CPUs       int
	Slots      int // of a CPU, a power of two
}

// GenMap is an array of one element that only user space writes: the generations
// of all fronts.
const GenMap = "generations"

// Generations that a slot can be of.
const (
	FrontFree  = 0 // never used
	FrontBusy  = 1 // being given to a key: neither key nor value can be relied on
	FrontFirst = 2 // the first one of a session
)

// FrontKey is the offset of a slot's key.
const FrontKey = 8

// word rounds n up to whole words.
func word(n int) int { return (n + 7) &^ 7 }

// SlotValue is the offset of a slot's value.
func (f *Front) SlotValue() int { return FrontKey + word(f.Key) }

// SlotSize is the size of a slot.
func (f *Front) SlotSize() int { return f.SlotValue() + word(f.Value) }

// Region is the size of a CPU's region: whole cache lines, so that no two CPUs
// write to one.
func (f *Front) Region() int { return (f.Slots*f.SlotSize() + 63) &^ 63 }

// Size is the size of the element.
func (f *Front) Size() int { return f.CPUs * f.Region() }
