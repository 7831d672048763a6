package flowq

// A flow is in at most two lists at a time, one of each kind.
const (
	turnLink = iota // lists of levels: whose turn it is
	sizeLink        // lists by backlog, or of idle flows
)

// link is a flow's place in a list.
type link struct{ prev, next *Flow }

// list is a doubly linked list of flows through one of their links. Its zero value is an empty list of turnLink.
type list struct {
	head, tail *Flow
	kind       uint8
}

func (l *list) pushBack(f *Flow) {
	f.links[l.kind] = link{prev: l.tail}
	if l.tail == nil {
		l.head = f
	} else {
		l.tail.links[l.kind].next = f
	}
	l.tail = f
}

func (l *list) remove(f *Flow) {
	at := &f.links[l.kind]
	if at.prev == nil {
		l.head = at.next
	} else {
		at.prev.links[l.kind].next = at.next
	}
	if at.next == nil {
		l.tail = at.prev
	} else {
		at.next.links[l.kind].prev = at.prev
	}
	*at = link{}
}

// prepend moves all of other in front of l, in their order.
func (l *list) prepend(other *list) {
	if other.head == nil {
		return
	}
	if l.head == nil {
		l.tail = other.tail
	} else {
		other.tail.links[l.kind].next = l.head
		l.head.links[l.kind].prev = other.tail
	}
	l.head = other.head
	other.head, other.tail = nil, nil
}
