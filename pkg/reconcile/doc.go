// Package reconcile is the kit that every control loop is made of. It names no kind of object: what a loop
// watches, decides and writes is the loop's own; how it is woken, kept from acting twice, slowed down after
// failure and explained afterwards is here, once.
//
// # The three steps
//
// A Loop works on keys, the namespace and name of an object. For one key it does always the same:
//
//	Observe   read the informers' caches into a state; no decisions
//	Plan      a pure function of that state and the time: a list of Actions, each with its reason in words
//	apply     do the actions, in order; here, in this package, the same for all loops
//
// A plan says what should be done about the difference between what is wanted and what is, not about the event that
// woke the loop. So it does not matter whether an event was missed, came twice or was merged with others: the
// next plan sees the same difference. An empty plan is the normal case, and writes nothing.
//
// When an action fails, the rest of the plan is dropped, the key comes back after a back-off, and the next
// Observe is given the Failure, because some loops have to report it (the ReplicaFailure condition). The first
// plan that goes through clears it. A panic in any step is a failure like another; it costs one key one
// turn, not the process.
//
// # Waiting for one's own writes
//
// A loop reads caches and writes to the API server, so its caches are always a little behind its own writes. A
// replica set loop that has just made three pods and is woken before its cache shows them would make three more.
// Upstream's older answer is to count: expect three creations, subtract each one seen, give up after five minutes.
// Counting goes wrong when an event is lost or belongs to another, so here nothing is counted:
//
//   - Every create, update and patch is answered with the resourceVersion it made. The loop notes, for the key,
//     the kind and that version. Resource versions grow with every write, and an informer's cache knows the version up
//     to which it is complete. The write has been seen when the cache's version is not below the noted one.
//   - A delete is answered without a version. The loop notes the UID. The delete has been seen when the cache
//     has no object of that UID under that name any more, or has it with a deletionTimestamp.
//
// A key with unseen writes is not planned. That is enough: a watch delivers in order, so a cache at version v contains
// every write up to v, the loop's own included, of whatever object of that kind, even one that has been made
// and removed in between. And no write is forgotten, as the queue never gives a key to two workers. Writes by others
// need no waiting: a plan that did not see them is corrected by the next, and an update that would overwrite them is
// refused as a conflict.
//
// Waking is not left to chance either. The cache changes before its handlers run, so the event that brings a write wakes
// the key after the write is visible. For writes whose event does not map to the key (an object that was handed
// over) the key is looked at again a second later.
//
// # What it guarantees
//
//   - One key is worked on by one worker at a time, different keys concurrently.
//   - No plan is made from a state older than the loop's own last write for that key.
//   - Creates of one kind that follow each other go out in batches of 1, 2, 4, … up to 64 and stop at the first batch with
//     an error: a quota that refuses all costs one request, not five hundred. Deletes likewise. Everything else is
//     done one by one, in the order of the plan.
//   - Nothing is polled. An idle loop is blocked on an empty queue.
package reconcile
