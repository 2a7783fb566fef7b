package runtime

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/outline"
	"github.com/gotrace/gotrace/runtime/sorted"
)

// recorder reads the memory of --recorder. object.Recorder describes it.
type recorder struct {
	*object.Recorder
	ring, heads []byte // nil: no program uses them
	element     int    // size of an element of ring in bytes
}

// recorded is a complete record of the recorder.
type recorded struct {
	order uint64
	at    uint64 // offset in ring of the event's record
	size  uint64 // of that record
}

// completeIn is the time for which to wait for records that are not complete: a program may
// have been interrupted or preempted while it writes one.
const completeIn = time.Second

// openRecorder maps the memory of the recorder.
func (s *Instance) openRecorder() error {
	if s.obj.Recorder == nil {
		return nil
	}
	s.recorder = &recorder{Recorder: s.obj.Recorder}
	for name, mem := range map[string]*[]byte{object.RecorderMap: &s.recorder.ring, object.RecorderHeads: &s.recorder.heads} {
		m := s.maps[name]
		if m == nil {
			continue
		}
		size := types.RoundUp(int(m.ValueSize()), 8)
		if name == object.RecorderMap {
			s.recorder.element = size
		}
		page := os.Getpagesize()
		size = types.RoundUp(size*int(m.MaxEntries()), page)
		data, err := unix.Mmap(m.FD(), 0, size, unix.PROT_READ, unix.MAP_SHARED)
		if err != nil {
			return outline.Errorf("cannot map the memory of --recorder: %w", err)
		}
		*mem = data
	}
	return nil
}

func (r *recorder) close() {
	if r == nil {
		return
	}
	for _, mem := range [][]byte{r.ring, r.heads} {
		if mem != nil {
			_ = unix.Munmap(mem)
		}
	}
	r.ring, r.heads = nil, nil
}

// fits returns an error if there is not enough memory for a recorder's map. Otherwise the
// kernel might first take the memory from other processes.
func fits(spec *ebpf.MapSpec) error {
	const file = "/proc/meminfo"
	text, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	_, rest, _ := strings.Cut(string(text), "MemAvailable:")
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return nil
	}
	have, err := strconv.ParseUint(fields[0], 10, 54)
	need := uint64(spec.ValueSize) * uint64(spec.MaxEntries)
	if err == nil && need > have<<10 {
		return source.DiagError{{Msg: fmt.Sprintf("--recorder needs %d MiB of memory, and %d MiB are available", need>>20, have>>10), Hint: "a smaller --recorder keeps fewer events"}}
	}
	return nil
}

// stopped reports whether a program has ended the recording.
func (r *recorder) stopped() bool {
	return r != nil && r.heads != nil && binary.NativeEndian.Uint64(r.heads[object.RecorderStop:]) != 0
}

// head returns the words of a CPU.
func (r *recorder) head(cpu int) func(off int) uint64 {
	mem := r.heads[object.HeadSize*(object.SharedHeads+cpu):][:object.HeadSize]
	return func(off int) uint64 { return binary.NativeEndian.Uint64(mem[off:]) }
}

// records returns the number of records that programs have written.
func (r *recorder) records() (n uint64) {
	for cpu := range r.CPUs {
		if r.heads != nil {
			n += r.head(cpu)(object.HeadRecords)
		}
	}
	return n
}

// place returns the offset in the ring for position pos of a CPU.
func (r *recorder) place(cpu int, pos uint64) uint64 {
	element := uint64(cpu*r.Chunks) + pos/uint64(r.Chunk)%uint64(r.Chunks)
	return element*uint64(r.element) + pos%uint64(r.Chunk)
}

// read appends the complete records of a CPU to list. It returns the number of gaps between
// them: memory that was reserved and not written, and records that were overwritten in part.
func (r *recorder) read(cpu int, list []recorded) (all []recorded, torn int) {
	word := r.head(cpu)
	end := word(object.HeadNext)
	var late []uint64 // intervals in the ring that a late program has written to, in pairs: from, to
	for i := range min(word(object.HeadLate), object.LateMarks) {
		mark := word(object.HeadMarks + 8*int(i))
		from := r.place(cpu, mark>>object.MarkShift)
		late = append(late, from, from+mark%(1<<object.MarkShift)*8)
	}
	pos := uint64(0)
	if end > r.RingSize() {
		pos = end - r.RingSize()
	}
	first, inGap := pos > 0, false
	for pos < end {
		at := r.place(cpu, pos)
		mark := binary.NativeEndian.Uint64(r.ring[at:])
		size := mark % (1 << object.MarkShift) * 8
		if mark>>object.MarkShift != pos&(1<<(64-object.MarkShift)-1) || size <= object.RecordHeader || pos+size > end || at%uint64(r.element)+size > uint64(r.element) {
			// The rest of a record that began before pos is not a gap.
			inGap = inGap || !first
			pos += 8
			continue
		}
		if inGap {
			torn++
		}
		first, inGap = false, false
		pos += size
		if hit(late, at, at+size) {
			torn++
			continue
		}
		list = append(list, recorded{
			order: binary.NativeEndian.Uint64(r.ring[at+object.RecordOrder:]),
			at:    at + object.RecordHeader, size: size - object.RecordHeader,
		})
	}
	if inGap {
		torn++
	}
	return list, torn
}

// hit reports whether [from, to) meets one of the intervals in list.
func hit(list []uint64, from, to uint64) bool {
	for i := 0; i < len(list); i += 2 {
		if list[i] < to && from < list[i+1] {
			return true
		}
	}
	return false
}

// readAll returns the complete records of all CPUs in the order in which they were written,
// and the number of gaps.
func (r *recorder) readAll() (list []recorded, torn int) {
	if r.ring == nil {
		return nil, 0
	}
	for cpu := range r.CPUs {
		var n int
		list, n = r.read(cpu, list)
		torn += n
	}
	sorted.By(list, func(r *recorded) uint64 { return r.order })
	return list, torn
}

// collect is readAll, but waits a moment for records that are not complete.
func (r *recorder) collect() (list []recorded, torn int) {
	for deadline := time.Now().Add(completeIn); ; time.Sleep(completeIn / 200) {
		if list, torn = r.readAll(); torn == 0 || time.Now().After(deadline) {
			return list, torn
		}
	}
}

// printRecorded prints the events of the recorder, unless they must not be printed, and
// reports their number.
func (s *Instance) printRecorded() {
	r := s.recorder
	if r == nil {
		return
	}
	if r.Until && !r.stopped() {
		s.warnRecorder("without --until, they are printed at the end however it comes",
			"The recording was never stopped, as the condition did not hold: %d events are not printed", r.records())
		return
	}
	list, torn := r.collect()
	total := max(r.records(), uint64(len(list)))
	waiting := !s.interrupted() // the session has not been asked to end yet
	printed, rejected, broken := 0, 0, false
	for i, rec := range list {
		if i%1024 == 0 {
			if broken = s.opt.Sink.Flush() != nil; broken || waiting && s.hurried(patience) {
				break
			}
		}
		if r.Dated {
			s.date(s.env.BootToWall(rec.order))
		}
		if s.handle(r.ring[rec.at:][:rec.size:rec.size]) {
			printed++
		} else {
			rejected++
		}
	}
	s.date(time.Time{})
	s.opt.Sink.Flush()
	if s.opt.Quiet || broken {
		return
	}
	if torn > 0 {
		s.warnRecorder("", "The recorder has %d gaps: events that were being written when the recording ended, or were overwritten in part", torn)
	}
	if n := len(list) - printed - rejected; n > 0 {
		s.warnRecorder("", "The last %d recorded events are not printed, as a signal ended the session meanwhile", n)
	}
	not := ""
	if rejected > 0 {
		not = fmt.Sprintf(", %d for which the predicate does not hold", rejected)
	}
	fmt.Fprintf(s.opt.Stderr, "Recorded %d events: %d printed%s, %d overwritten by later ones\n", total, printed, not, total-uint64(len(list)))
}

// date passes the time of the following results to Setup.Dated.
func (s *Instance) date(at time.Time) {
	for _, d := range s.opt.Dated {
		d.Date(at)
	}
}

func (s *Instance) warnRecorder(hint, format string, args ...any) {
	io.WriteString(s.opt.Stderr, source.Diag{Severity: source.Warning, Msg: fmt.Sprintf(format, args...), Hint: hint}.Render())
}
