// Package audit writes down who did what: one line for each stage of each request that the policy finds worth it.
//
// # The problem
//
// When something has gone wrong, or been taken, people ask who did it, from where, and whether they were allowed to. The objects do not
// tell, and logs of the server tell it in words that no program reads. So there is a record of upstream's exact form (audit.k8s.io/v1
// Event), which every tool for it can read, and a policy that says how much of which requests goes into it: the contents of
// secrets should not.
//
// # The flow
//
//	Policy.Decide   the first rule that matches says at which level, without which stages; None is no record at all
//	Auditor.Begin   RequestReceived, once the server knows who asks
//	Record          what the request turns out to be: the object sent, the decision of the authorizers, the answer
//	Record.Started  ResponseStarted, for what goes on for long: a watch, an exec
//	Record.Complete ResponseComplete, or Panic
//	Sink            brings events to a backend at once or in batches, truncated if they are too large
//	Backend         the log: lines of JSON, in a file that is rotated; or a webhook
//
// # The guarantees
//
//   - In mode blocking, the log's by default, an event is with the backend before the request that it is about ends; in mode blocking-strict
//     a request of which nothing can be written down is refused. In mode batch, the webhook's, events may be lost when the server dies, or when
//     the webhook is slower than the cluster for long; what is lost is counted, and told in the server's log.
//   - Levels are cut where upstream cuts them: no object below Request, no answer below RequestResponse; what was refused before
//     anybody knew who asked is one event, ResponseStarted.
//   - All methods of a nil *Record do nothing. A server without a policy makes none, and so pays nothing.
//
// # Simpler than upstream
//
// There is one event under way per request and no context of its own besides, and of formats and versions there is the present one.
package audit
