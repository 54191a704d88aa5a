// Package fairness decides which request is worked on next when there are more than the server can work on at once: API priority and
// fairness, as FlowSchemas and PriorityLevelConfigurations describe it.
//
// # The problem
//
// A plain limit on requests in flight is one queue for all: a client that lists all pods in a loop takes every place, kubelets cannot
// renew their leases, and the cluster declares its nodes dead. Work has to be told apart before it is limited.
//
// # The flow
//
//	request ─► classify        the first flow schema, by precedence, that matches user and target (classify.go)
//	        ─► estimate        how many seats it takes: a list of ten thousand objects is not a get (work.go)
//	        ─► level           the schema's priority level has its own seats (level.go)
//	             │ a seat is free and nobody waits: go
//	             ▼
//	           queues          the flow (schema and user, or namespace) is dealt a hand of queues and joins the
//	                           shortest (shuffle.go); queues take turns by virtual time (queues.go)
//	             │ its turn ─► go       queue full, or waited too long ─► 429
//	             ▼
//	           done            seats go back, the next in turn begins
//
// Every ten seconds levels lend seats that they do not use to those that need them (borrow.go).
//
// # Fair queuing
//
// Virtual time R passes as fast as each active queue gets service: with C seats taken and N queues active, C/N seat-seconds per second.
// A queue's next request starts at the virtual time at which its last one would end if every queue had a server of its own; the
// request with the least virtual end goes next. A request is charged a guess when it starts, which is mended when it ends. So a
// flow that has a hundred requests waiting gets no more than one that has two.
//
// Shuffle sharding makes it unlikely that a small flow shares all of its queues with a large one: each flow has a few queues of
// many, by a hash of its name.
//
// # The guarantees
//
//   - No request waits longer than Config.Wait, nor in a queue longer than its level's limit: memory is bounded.
//   - A request that need not wait costs a few hundred nanoseconds and two short critical sections of its level's own lock.
//   - The package neither reads the clock nor does any I/O: now is passed in, and what is to be written is planned as data (objects.go).
//
// # Simpler than upstream
//
// Queues exist while something is in them. A priority level that was deleted lets those go that are in it, without taking part in the
// division of seats any longer. Virtual time is a float64 of seconds, which is exact to a microsecond for a century.
package fairness
