"""What each field of a device's messages means, and each key of its configuration. In Markdown.

The reference is written from this; tests hold it against what is sent, and what is read.
"""

from __future__ import annotations

from typing import Mapping

RESULT: Mapping[str, str] = {
    "timestamp": "The moment of the picture in the device's local time, without a zone.",
    "inference-type": "Always `image-classification`.",
    "inference-description": "How `inference-results` were chosen, in AWS's words.",
    "inference-results": "The best `MaxResults` labels that reach `ScoreThreshold`; may be empty.",
    "thing": "The device. AWS's own component sends none.",
    "model_version": "Of the model that answered.",
    "label": "The best label, whatever its score.",
    "score": "Its probability.",
    "image_id": "SHA-256 of the picture file's bytes.",
    "latency_ms": "The model alone, without decoding and resizing.",
    "taken_at": "The moment of the picture in UTC.",
    "message_id": "Tells a message that arrived twice.",
    "variant": "Which model answered: `champion` or `challenger`.",
    "shadow": "With `VariantMode` `shadow` only: what the challenger says to the same picture. For "
    "half of the pictures it is asked first, so that neither always finds the caches cold.",
}
STATISTICS: Mapping[str, str] = {
    "thing": "The device.",
    "message_id": "Tells a message that arrived twice.",
    "version": "Of this form.",
    "model_version": "Of the model that answered; each has a summary of its own.",
    "window": "`start` and `end`, UTC.",
    "count": "Pictures classified.",
    "unreadable": "Pictures that could not be read.",
    "features": "For each image statistic and the confidence: `bins` (20 equal ones over 0 to 1), "
    "`sum`, `sum_squares`, `min`, `max`.",
    "latency_ms": "`bins`: 24, whose inner bounds are 0.1 ms · 10^(k/4), k from 1 to 23.",
    "labels": "How often each label was the best.",
    "seen": "`sketch`: 2,048 bits in base64, one set per different picture: tells how many "
    "pictures differ, and not which. `unnamed`: pictures that had no id.",
}
HEARTBEAT: Mapping[str, str] = {
    "thing": "The device.",
    "message_id": "Tells a message that arrived twice.",
    "sent_at": "UTC.",
    "model_version": "Of the model that serves.",
    "model_problem": "Why the newest model does not serve; the former one goes on.",
    "challenger_version": "Of the model that is compared with it.",
    "challenger_problem": "Why there is no challenger though the configuration asks for one, or "
    "what it could not answer last.",
    "runtime_version": "Of DLR.",
    "uptime_s": "Seconds since the component started.",
    "last_result_age_s": "Seconds since the last result.",
    "pictures": "Classified since the component started.",
    "unreadable": "Pictures since then that could not be read.",
    "queue_depth": "Messages that wait for a connection.",
    "queue_dropped": "Messages that were dropped in all the component's time.",
    "alerts": "Raised since the component started.",
    "hard_examples": "Pictures that the device holds.",
    "hard_examples_mb": "Their size in MB.",
    "watchdog_restarts": "Restarts in all the component's time because work was stuck.",
    "disk_free_mb": "MiB.",
    "rss_mb": "Memory of the component, MiB.",
    "temperature_c": "Of several temperatures the highest.",
}
ALERT: Mapping[str, str] = {
    "thing": "The device.",
    "message_id": "Tells a message that arrived twice.",
    "sent_at": "UTC.",
    "alert": "The rule's name.",
    "label": "Best label of the last picture that counted.",
    "score": "Its probability.",
    "sightings": "Different pictures that counted.",
    "image_id": "SHA-256 of the last of them. The picture itself is not sent.",
    "model_version": "Of the model that answered.",
    "first_seen_at": "The moment of the first of them, UTC.",
    "taken_at": "The moment of the last of them, UTC.",
}
CONFIGURATION: Mapping[str, str] = {
    "accessControl": "Greengrass's authorisation policy; extend it with another "
    "`PublishResultsOnTopic`.",
    "PublishResultsOnTopic": "Empty: log results, publish none.",
    "ImageDirectory": "Absolute path of a folder to watch, with its subfolders (or "
    "`../COMPONENT/FOLDER`, in another component's work folder): new and changed pictures first, "
    "else the known ones in turn.",
    "ImageName": "One picture, in `ImageDirectory` or absolute: read at every tick.",
    "InferenceInterval": "Seconds between two ticks, 0.01 to 30 days.",
    "UseCamera": "Take the picture from `CameraCommand`.",
    "CameraCommand": "A command that writes one encoded picture to standard output within 30 s.",
    "ScoreThreshold": "Least score of an entry in `inference-results`.",
    "MaxResults": "Most entries, 1 to 1000.",
    "StatisticsInterval": "Seconds of one window, 1 to 86,400.",
    "VariantMode": "`off`; `shadow`: the champion answers, the challenger's answer is told "
    "besides; `split`: each answers its share.",
    "VariantShare": "The challenger's share in split mode, 0 to 1. Which pictures it gets follows "
    "from their `image_id`.",
    "Alerts": "A list of alert rules, or the same as JSON text.",
    "HardExampleScore": "A picture whose best score is below is kept on the disk; 0: none.",
    "HardExampleLabels": "Pictures with these labels are kept whatever the score.",
    "HardExampleMegabytes": "MB that they may take, the oldest go first; 0: nothing is kept.",
    "PicturesMayLeave": "Whether hard examples may be fetched from the device.",
    "WatchdogSeconds": "Work that is stuck for so long ends the component with status 70, and its "
    "nucleus starts it again; a picture over which that happened twice is passed over. 0: off, "
    "else 1 to 86,400.",
}
ALERT_RULE: Mapping[str, str] = {
    "Name": "Up to 64 characters, no two alike.",
    "Labels": "A picture counts where its best label is one of these …",
    "MinScore": "… with at least this score.",
    "Sightings": "Different pictures that must count …",
    "WithinSeconds": "… within so long.",
    "QuietSeconds": "Silence after an alert, also over a restart of the component.",
    "WhileLabels": "One of these must have been seen as well …",
    "WhileSeconds": "… within so long.",
    "WhileMinScore": "… with at least this score.",
}
