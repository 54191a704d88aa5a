// Package plan decides what to do next for one pod. It does no I/O: the pod of the API, what the runtime has of
// it, and the time go in; a list of actions comes out, each with its reason in words.
//
// The rule that makes it small: a plan says only what can be decided now. After a plan was applied the pod is
// observed and planned again, until the plan is empty. So "make a sandbox" and "start the containers in it" are
// two plans, and none has to foresee how the other ends.
//
//  1. A pod that must end (deleted, past its deadline, all its containers done): stop what runs. Nothing left: Done.
//  2. Volumes are not there yet: wait.
//  3. No sandbox that works: stop what the old one held, make a new one. The images of what comes first are fetched meanwhile.
//  4. Init containers, in order. One that is an ordinary container must have succeeded, one that is a sidecar
//     (restartPolicy Always) must have started, before the next begins.
//  5. The containers: start what does not run and should, stop what runs and should not (a failed probe, another
//     image), wait for what is in back-off.
//  6. Remove what nobody needs: all but the last two runs of each container, and sandboxes without containers.
//
// Which of a container's runs count: only the newest decides, and an init container that succeeded counts only in
// the present sandbox; a new sandbox means a new start of the pod.
//
// Simpler than upstream: no static pods, no in-place resize, no restart of all containers by rule.
package plan
