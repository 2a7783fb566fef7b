package requests

// framed reads messages that begin with a header of fixed size, which has their length.
// Readers of such protocols embed it.
type framed struct {
	header int // bytes of a header
	most   int // bytes of a message that are examined, with its header
	// begun is called when a header is known. It sets left, and open or off. ended is called at
	// the end of a message with its first bytes.
	begun, ended func(message []byte, to answers)
	// cut is called when an answer has bytes that are not known.
	cut func()

	head []byte // the header, then the first bytes after it
	left uint64 // bytes of the message that are still to come
	open bool   // the messages belong to an answer
	off  bool   // it is not known where the next message starts
}

func (f *framed) lost() bool { return f.off }

func (f *framed) read(data []byte, n uint64, to answers) {
	w := &window{data, n}
	for w.n > 0 {
		switch {
		case f.off:
			to.count(w.skip(w.n))
		case len(f.head) < f.header:
			if f.off = w.cut(); f.off {
				if f.open {
					f.cut()
				}
				continue
			}
			f.head = append(f.head, w.data[0])
			f.count(w.skip(1), to)
			if len(f.head) < f.header {
				continue
			}
			was := f.open
			if f.begun(f.head, to); !was {
				f.count(uint64(f.header), to)
			}
			if f.left == 0 && !f.off {
				f.end(to)
			}
		default:
			if room := f.most - len(f.head); room > 0 {
				f.head = append(f.head, w.data[:min(uint64(len(w.data)), f.left, uint64(room))]...)
			}
			k := w.skip(f.left)
			f.count(k, to)
			if f.left -= k; f.left == 0 {
				f.end(to)
			}
		}
	}
}

// count counts bytes if they belong to an answer.
//
//go:noinline
func (f *framed) count(n uint64, to answers) {
	if f.open {
		to.count(n)
	}
}

// end handles the end of a message.
//
//go:noinline
func (f *framed) end(to answers) {
	message := f.head
	f.head = f.head[:0]
	f.ended(message, to)
}
