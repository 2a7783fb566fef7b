package otlp

import (
	"sync"

	"github.com/gotrace/gotrace/runtime/output/protowire"
)

// Limits of the queue of one kind of items.
const (
	batchBytes = 512 << 10 // items that are sent together
	queueBytes = 8 << 20   // all items that wait
)

// queue holds encoded items that wait to be sent. If there are too many, new ones are
// dropped and counted.
type queue struct {
	mu      sync.Mutex
	full    []batch // complete batches, the oldest one first
	open    batch
	bytes   int
	dropped uint64
}

// batch is a number of items, each a field of the message that holds them.
type batch struct {
	data  protowire.Message
	items int
}

// add adds an item. It reports whether a batch is complete.
func (q *queue) add(item []byte) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.bytes+len(item) > queueBytes {
		q.dropped++
		return false
	}
	before := len(q.open.data)
	q.open.data.Bytes(2, item) // log_records of ScopeLogs, spans of ScopeSpans
	q.open.items++
	q.bytes += len(q.open.data) - before
	if len(q.open.data) < batchBytes {
		return false
	}
	q.full, q.open = append(q.full, q.open), batch{}
	return true
}

// first returns the oldest batch, or an incomplete one if there is no other. ok is false if
// nothing waits. The batch stays until it is removed.
func (q *queue) first() (b batch, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.full) == 0 && q.open.items > 0 {
		q.full, q.open = append(q.full, q.open), batch{}
	}
	if len(q.full) == 0 {
		return batch{}, false
	}
	return q.full[0], true
}

// batches returns the number of batches that wait.
func (q *queue) batches() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.full) + min(q.open.items, 1)
}

// remove removes the batch that first returned. If it was lost, its items are counted as
// lost.
func (q *queue) remove(lost bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if lost {
		q.dropped += uint64(q.full[0].items)
	}
	q.bytes -= len(q.full[0].data)
	q.full[0] = batch{}
	q.full = q.full[1:]
}

// left returns the number of items that wait, and the number of items that were lost
// since the last call.
func (q *queue) left() (waiting int, dropped uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, b := range q.full {
		waiting += b.items
	}
	dropped, q.dropped = q.dropped, 0
	return waiting + q.open.items, dropped
}
