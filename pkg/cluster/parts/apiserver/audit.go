package apiserver

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"bonsai/pkg/apiserver/audit"
	"bonsai/pkg/apiserver/hook"
)

// audit returns what writes down who did what; nil if nobody has asked for that. stop is called after the last request, and returns
// when all is written. A policy that cannot be read is an error even if there is nowhere to write to.
func (o *Options) audit(ctx context.Context) (a *audit.Auditor, stop func(), err error) {
	nothing := func() {}
	somewhere := o.AuditLog.Path != "" || o.AuditWebhook != ""
	if o.AuditPolicy == "" {
		if somewhere {
			o.Logger.Warn("nothing is written to the audit log: no audit policy file was named")
		}
		return nil, nothing, nil
	}
	policy, err := audit.LoadPolicy(o.AuditPolicy)
	if err != nil {
		return nil, nothing, err
	}
	if !somewhere {
		o.Logger.Warn("nothing is written to the audit log: neither its file nor a webhook was named")
		return nil, nothing, nil
	}
	a = &audit.Auditor{Policy: policy, Now: time.Now, Logger: o.Logger, Counts: audit.NewMetrics(o.counts)}
	if a.Sinks, err = o.sinks(a.Counts); err != nil {
		return nil, nothing, err
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	for _, s := range a.Sinks {
		running.Go(func() { s.Run(ctx) })
	}
	return a, func() { cancel(); running.Wait() }, nil
}

// sinks are the log and the webhook, if they are configured.
func (o *Options) sinks(counts *audit.Metrics) ([]*audit.Sink, error) {
	var out []*audit.Sink
	add := func(plugin string, to audit.Backend, how audit.Delivery) error {
		s, err := audit.NewSink(plugin, to, how, o.Logger, counts)
		out = append(out, s)
		return err
	}
	if o.AuditLog.Path != "" {
		if err := add("log", audit.NewLog(o.AuditLog, os.Stdout), o.AuditLogDelivery); err != nil {
			return nil, err
		}
	}
	if o.AuditWebhook == "" {
		return out, nil
	}
	client, err := hook.New(o.AuditWebhook)
	if err != nil {
		return nil, fmt.Errorf("audit webhook: %w", err)
	}
	client.Servers = o.webhooks
	return out, add("webhook", audit.NewWebhook(client.Call), o.AuditWebhookDelivery)
}
