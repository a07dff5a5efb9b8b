{{/* What all pods have before their containers. Takes (list CONTEXT VALUES-OF-THE-COMPONENT). */}}
{{- define "pintally.pod" -}}
{{- $context := index . 0 -}}
{{- $own := index . 1 -}}
{{- with $context.Values.serviceAccountName }}
serviceAccountName: {{ . }}
{{- end }}
automountServiceAccountToken: false # nothing here asks Kubernetes
enableServiceLinks: false # a Service named pintally-clickhouse would set PINTALLY_CLICKHOUSE_PORT
shareProcessNamespace: true # else the process is number 1, and SIGTERM does not end it while it starts
securityContext: {{- toYaml $context.Values.podSecurityContext | nindent 2 }}
{{- with $context.Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- range $name := list "priorityClassName" "nodeSelector" "tolerations" "affinity" "topologySpreadConstraints" }}
{{- with index $own $name }}
{{ $name }}: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
volumes:
  - name: tmp
    emptyDir: {sizeLimit: {{ $context.Values.tmpSize }}}
  {{- with $context.Values.tls.existingSecret }}
  - name: tls
    secret: {secretName: {{ . }}, defaultMode: 0440}
  {{- end }}
{{- end }}

{{/* What all containers have. Takes (list CONTEXT RESOURCES). */}}
{{- define "pintally.container" -}}
{{- $context := index . 0 -}}
image: {{ include "pintally.image" $context }}
imagePullPolicy: {{ $context.Values.image.pullPolicy }}
securityContext: {{- toYaml $context.Values.securityContext | nindent 2 }}
resources: {{- toYaml (index . 1) | nindent 2 }}
volumeMounts:
  - {name: tmp, mountPath: /tmp} # the only folder that the image writes to
  {{- if $context.Values.tls.existingSecret }}
  - {name: tls, mountPath: /etc/pintally/tls, readOnly: true}
  {{- end }}
{{- end }}
