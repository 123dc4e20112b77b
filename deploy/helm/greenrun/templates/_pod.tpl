{{/* A value as an environment variable has it: Helm's numbers are floats, and 1000000000 must not become 1e+09. */}}
{{- define "greenrun.text" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) -}}{{ int64 . }}{{- else -}}{{ . }}{{- end -}}
{{- end -}}

{{/* (root, name, row) → the environment: the shared settings that this service has, then its own. */}}
{{- define "greenrun.env" -}}
{{- $facts := include "greenrun.facts" . | fromYaml -}}
{{- $env := dict "NATS_URL" (include "greenrun.natsUrl" .root) -}}
{{- if .root.Values.natsAuth.enabled -}}{{- $_ := set $env "NATS_USER" .name -}}{{- end -}}
{{- range $key, $value := .root.Values.settings -}}
{{- if has $key $facts.settings -}}{{- $_ := set $env $key $value -}}{{- end -}}
{{- end -}}
{{- range $key, $value := .row.env -}}{{- $_ := set $env $key $value -}}{{- end -}}
{{- with .row.concurrency -}}{{- $_ := set $env "CONCURRENCY" . -}}{{- end -}}
{{- if eq .name "provisioner" -}}{{- $_ := set $env "NATS_REPLICAS" .root.Values.natsReplicas -}}{{- end -}}
{{- if eq .name "gateway" -}}
{{- $_ := set $env "GATEWAY_HOST" "0.0.0.0" -}}
{{- $_ := set $env "GATEWAY_PORT" 8080 -}}
{{- end -}}
{{- if has "chroma" .reach -}}
{{- $_ := set $env "CHROMADB_HOST" (include "greenrun.chromaHost" .root) -}}
{{- $_ := set $env "CHROMADB_PORT" (include "greenrun.chromaPort" .root) -}}
{{- end -}}
{{- range $key, $value := $env }}
- name: {{ $key }}
  value: {{ include "greenrun.text" $value | quote }}
{{- end }}
{{- with .row.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* (root, name, row) → the secrets that this service may have and that values give, as a map. */}}
{{- define "greenrun.secretData" -}}
{{- $facts := include "greenrun.facts" . | fromYaml -}}
{{- $all := mergeOverwrite (deepCopy .root.Values.secrets) (deepCopy .row.secrets) -}}
{{- $data := dict -}}
{{- range $key := $facts.secrets -}}
{{- with index $all $key -}}{{- $_ := set $data $key . -}}{{- end -}}
{{- end -}}
{{- if and $data (not .row.existingSecret) -}}{{- $data | toYaml -}}{{- end -}}
{{- end -}}

{{/* (root, name, row) → the volume with this service's secrets: each key alone, so that no other of the Secret is there.
     A key that the service cannot do without is no option: the pod waits and its events name the key. */}}
{{- define "greenrun.secretsVolume" -}}
{{- $login := ternary "nats_nkey_seed" "nats_password" (eq .root.Values.natsAuth.method "nkey") -}}
{{- $needed := ternary (list $login) list .root.Values.natsAuth.enabled -}}
{{- if eq .name "gateway" -}}{{- $needed = append $needed "gateway_token" -}}{{- end -}}
{{- $facts := include "greenrun.facts" . | fromYaml -}}
- name: secrets
  projected:
    defaultMode: 0440
    sources:
      {{- range $facts.secrets }}
      - secret:
          name: {{ include "greenrun.secret" $ }}
          items:
            - key: {{ . }}
              path: {{ . }}
          optional: {{ not (has . $needed) }}
      {{- end }}
{{- end -}}

{{/* (root, name, row, reach, command) → the pod of a service, without its restart policy. */}}
{{- define "greenrun.pod" -}}
metadata:
  labels:
    {{- include "greenrun.labels" . | nindent 4 }}
  annotations:
    {{- /* Secrets are read once, at the start: a changed one rolls the pods. */}}
    checksum/secrets: {{ include "greenrun.secretData" . | sha256sum }}
    {{- with .row.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "greenrun.of" . }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  {{- with .root.Values.image.pullSecrets }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ . }}
    {{- end }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 10001
    runAsGroup: 10001
    fsGroup: 10001
    seccompProfile:
      type: RuntimeDefault
  {{- with .row.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  terminationGracePeriodSeconds: {{ .row.terminationGracePeriodSeconds }}
  containers:
    - name: {{ .name }}
      image: {{ include "greenrun.image" . }}
      imagePullPolicy: {{ .root.Values.image.pullPolicy }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities:
          drop: [ALL]
      env:
        {{- include "greenrun.env" . | nindent 8 }}
      {{- if eq .name "gateway" }}
      ports:
        - name: http
          containerPort: 8080
      {{- end }}
      {{- if ne .name "provisioner" }}
      {{- /* An outage of NATS makes a pod unready and is no reason to start it again; a loop that hangs is one. */}}
      {{- $health := list "python" "-m" "shared.health" }}
      startupProbe:
        exec:
          command: {{ append $health "--live" | toJson }}
        periodSeconds: 5
        timeoutSeconds: 10
        failureThreshold: 60
      livenessProbe:
        exec:
          command: {{ append $health "--live" | toJson }}
        periodSeconds: 30
        timeoutSeconds: 10
        failureThreshold: 4
      readinessProbe:
        {{- if eq .name "gateway" }}
        httpGet:
          path: /readyz
          port: http
        {{- else }}
        exec:
          command: {{ $health | toJson }}
        {{- end }}
        periodSeconds: 10
        timeoutSeconds: 10
      {{- end }}
      resources:
        {{- toYaml .row.resources | nindent 8 }}
      volumeMounts:
        - name: tmp
          mountPath: /tmp
        - name: secrets
          mountPath: /run/secrets
          readOnly: true
        {{- with .row.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    - name: tmp
      emptyDir:
        sizeLimit: {{ .row.tmpSize }}
    {{- include "greenrun.secretsVolume" . | nindent 4 }}
    {{- with .row.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with .row.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .row.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}
