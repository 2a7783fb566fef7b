package object

import "github.com/gotrace/gotrace/runtime/outline"

// Recorder describes the memory of --recorder, in which programs keep events until the
// session prints them. Each CPU has a separate ring. A ring consists of Chunks chunks of
// Chunk bytes, both powers of two. The chunks are elements of RecorderMap: those of CPU n
// start at element n*Chunks. After its chunk, an element has space for the largest
// record, so a record that begins in a chunk need not be split.
//
// Positions in a ring are counted from its first record on and do not wrap around:
// position p is byte p%Chunk of chunk p/Chunk%Chunks. A program reserves memory by adding
// the size of its record to the ring's head, the position after the last record. Records
// have multiples of 8 bytes. They begin with RecordHeader bytes: the mark, and a number
// by which the records of all CPUs are ordered. The record of the event follows, as in
// the ring buffer. The mark contains the position of the record itself and is written
// last. So the rests of older records, incomplete records, and data that looks like a
// record have another mark.
//
// If Dated is set, the order is that of the boot clock. Reading a clock can take ten
// times as long as everything else. So on machines with few CPUs the programs count the
// records instead, with RecorderCount, unless their times are needed.
//
// RecorderHeads is an array of one element. It begins with SharedHeads parts of HeadSize bytes
// that all CPUs use. HeadSize bytes for each CPU follow.
type Recorder struct {
	CPUs   int
	Chunk  int
	Chunks int  // of each CPU
	Until  bool // the events are printed only if a program has stopped the recording
	Dated  bool // records are ordered by the boot clock
}

// Names of the maps of a recorder, and the layout of their elements.
const (
	RecorderMap   = "recorder"
	RecorderHeads = "recorder_heads"

	HeadSize      = 128 // cache lines that no other CPU uses
	SharedHeads   = 2
	RecorderStop  = 0        // u64: programs no longer record, since one has stopped the recording
	RecorderCount = HeadSize // u64: number of records of all CPUs, if they are ordered by it

	// The words of a CPU.
	HeadNext    = 0 // u64: the head
	HeadRecords = 8 // u64: number of records

	// A program that is preempted while it writes a record may write it after the ring has
	// been filled again, over newer records. HeadLate is the number of times that this has
	// happened, a u64. HeadMarks holds the marks of the last LateMarks such records.
	HeadLate  = 16
	HeadMarks = 24
	LateMarks = 8

	RecordOrder  = 8 // u64
	RecordHeader = 16
)

// A mark is a record's position, shifted by MarkShift, and its size in units of 8 bytes.
const (
	MarkShift     = 16
	MaxRecordSize = (1<<MarkShift - 1) * 8 // of a record in a recorder, in bytes
)

// RingSize returns the size in bytes of the ring of one CPU.
func (r *Recorder) RingSize() uint64 { return uint64(r.Chunk) * uint64(r.Chunks) }

// MaxRecorder is the maximum size of the memory of a recorder, in bytes.
const MaxRecorder = 1 << 40

// Limits of a recorder.
const (
	MaxChunk = 1 << 20
	minChunk = 8
	maxCPUs  = 1 << 16
)

// NewRecorder divides size bytes among cpus CPUs. Sizes are rounded down to powers of
// two. It returns nil if not even one record fits.
func NewRecorder(size int64, cpus int, until bool) *Recorder {
	ring := int64(minChunk)
	for 2*ring*int64(cpus) <= size {
		ring *= 2
	}
	if ring == minChunk {
		return nil
	}
	r := &Recorder{CPUs: cpus, Chunk: int(min(ring, MaxChunk)), Chunks: 1, Until: until}
	r.Chunks = int(ring / int64(r.Chunk))
	return r
}

// check returns an error if the description does not fit its maps.
func (r *Recorder) check(ring, heads *KernelMap) error {
	power := func(n int) bool { return n > 0 && n&(n-1) == 0 }
	switch {
	case r.CPUs <= 0 || r.CPUs > maxCPUs || !power(r.Chunk) || r.Chunk > MaxChunk || !power(r.Chunks) || r.RingSize() > MaxRecorder:
		return outline.Errorf("%d CPUs with %d chunks of %d bytes", r.CPUs, r.Chunks, r.Chunk)
	case ring == nil || heads == nil:
		return nil // no program records events
	case ring.KeySize != 4 || ring.ValueSize < r.Chunk || ring.ValueSize%8 != 0 || ring.MaxEntries != r.CPUs*r.Chunks:
		return outline.Errorf("its map has %d elements of %d bytes", ring.MaxEntries, ring.ValueSize)
	case heads.KeySize != 4 || heads.ValueSize < HeadSize*(SharedHeads+r.CPUs) || heads.MaxEntries != 1:
		return outline.Errorf("its heads have %d bytes", heads.ValueSize)
	}
	return nil
}
