// Package apiserver is the door: the only way to the cluster's state, for people and for components alike.
//
// # The problem
//
// Clients of Kubernetes rely on more than its objects: on status codes, the reasons and causes in errors, optimistic locks,
// watches that resume, patches that merge, finalizers, dry runs, tables. All of it has to be the same for every kind, and fast:
// every decision of every controller is a request here.
//
// # The flow
//
// A request passes the chain (chain.go), the same ordered list of steps for all: measured, guarded from panics, given a
// deadline, authenticated, written down if there is an audit policy, limited, authorized. Its path says which row of the table of
// kinds it is about (target.go); then its verb's file does the work (create.go, get.go, list.go, …), the same for all kinds:
//
//	write   decode → default → note who owns which field → mutate (admission) → prepare → allocate → validate → encode once → commit
//	read    kept bytes → answer
//
// Which kinds there are may change between two requests (kinds.go): users define some (package customresource).
//
// What is special about a kind is in its row. The few subresources that are neither a part of their object nor a Scale
// (binding, eviction, token, log, exec, …) are listed in route.go.
//
// # The guarantees
//
//   - An object is encoded when it is written, and its bytes are kept with it: reads, lists and watches at the storage
//     version copy them. Only tables, metadata-only answers and other versions are made from a decoded object.
//   - What follows from an object's shape alone may be taken from the last object of that shape (mould.go); the result is the same.
//   - A change is applied to the state it was computed from, or not at all. It is first tried on what the image holds, without
//     asking etcd whether that is the newest; an error that might be due to that is judged again on the newest state.
//   - Errors are *apierrors.StatusError from where they arise, and become an answer in one place (status.go), with upstream's
//     code, reason, message and causes.
//   - What a write was caused by is remembered for a while with the revision it made (cause.go).
//
// # Simpler than upstream
//
// There are no internal types: a row works on the storage version, and only the other served versions are converted. There is
// no registry per kind, no generic server underneath, no delegation from server to server.
//
// Health, metrics and OpenAPI have upstream's names for what there is here, and none for what there is not:
//
//   - Checks of hooks without counterpart are not listed: the filter of priority and fairness and the counter of objects keep
//     their own numbers true, one server has no peers and no lease of its identity, and it talks to itself without a certificate.
//     Uses of tokens in Secrets are not noted on them, so there is no date since when they are.
//   - A hook that upstream takes for done when its controller has been started is done when its first work is.
//   - There is one image for all kinds. What upstream's watch cache counts for a kind is told of the image's part for it; nothing is
//     said of what there is once for all: when it was filled (apiserver_watch_cache_initialization*), etcd's bookmarks (etcd_bookmark_*), the steps of an event
//     on its way (apiserver_watch_events_dispatch_*), consistency checks.
//   - etcd_request_* are the writes. Reads are answered by the image; the few lists of what it no longer has are in apiserver_storage_list_*,
//     and are no streams that would have a time of their own (apiserver_storage_list_duration_seconds). Leases of etcd are not
//     shared between objects (etcd_lease_object_counts).
//   - Of priority and fairness there is what a request can be charged for: no histograms over every nanosecond (demand_seats,
//     *_utilization, read_vs_write_*, watch_count_samples), no targets and virtual times (target_seats, next_*, dispatch_r, latest_s),
//     and no length of queues that requests need not enter (request_queue_length_after_enqueue).
//   - workqueue_* are those of the controllers of the same process, if it has any; the server's own loops have no queues.
//   - Without counterpart: the server's requests to itself (apiserver_selfrequest_total) and its informers (informer_*), repairs of
//     allocators (apiserver_nodeport_repair_*, …), the graph of the node authorizer (node_authorizer_*), a cache before all tokens
//     (authentication_token_cache_*), tokens that live longer than they say (serviceaccount_stale_tokens_total), version 1 of KMS and its
//     caches of data keys (apiserver_envelope_encryption_dek_cache_*, apiserver_storage_data_key_*, apiserver_storage_envelope_*), a second validation
//     by declaration (apiserver_validation_*), exemptions from pod security that are counted before there are any
//     (pod_security_exemptions_total), feature gates (kubernetes_feature_enabled), plugins for credentials (rest_client_exec_plugin_*),
//     the registry of metrics itself (registered_metrics_total, hidden_*, disabled_*, cardinality_*), gRPC to etcd inside (grpc_client_*).
//   - What is made of what is served is made when somebody asks, not again and again: aggregator_discovery_aggregation_*,
//     apiextensions_openapi_*_regeneration_count.
//   - The time of steps that take no time of their own here is not told apart: of ratcheting
//     (apiextensions_apiserver_validation_ratcheting_seconds), of comparing times in managed fields (apiserver_request_timestamp_comparison_time).
//   - apiserver_admission_step_admission_duration_seconds_summary and field_validation_request_duration_seconds say nothing that is not
//     in the histogram of the same name, or nothing at all.
//   - /flagz is not served: the server may be one part of a process whose flags are not its own.
package apiserver
